"""What a system file calls `policy`: every rule of what may be shown."""

from winnow.serving.policy import EXISTS, Apart, Available, Exists, OfAge, Rule, Unless, admit

__all__ = ["EXISTS", "Apart", "Available", "Exists", "OfAge", "Rule", "Unless", "admit"]
