"""What a system of ads declares beside other systems: `from winnow import ads`."""

from winnow.market.slots import AdLoad
from winnow.serving.auction import Auction
from winnow.serving.budgets import Funded
from winnow.serving.targeting import Bars, Capped, Eligible, Hours, Wants, Within

__all__ = ["AdLoad", "Auction", "Bars", "Capped", "Eligible", "Funded", "Hours", "Wants", "Within"]
