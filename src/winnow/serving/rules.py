"""What a system file calls `policy`: every rule of what may be shown."""

from winnow.serving.policy import EXISTS, Apart, Available, Exists, OfAge, Rule, Unless, admit
from winnow.serving.policy_event import Future, NoClash, RoomLeft

__all__ = [
    "EXISTS", "Apart", "Available", "Exists", "Future", "NoClash", "OfAge", "RoomLeft", "Rule", "Unless", "admit",
]  # fmt: skip
