"""Sources of what is near and what is soon, and what goes with them."""

from winnow.features.place import TRAVEL

__all__ = ["TRAVEL"]
