"""A copy of the live tables in Redis, for workers on other machines than the ingester's."""

from winnow.features.remote.mirror import Mirror
from winnow.features.remote.reader import RedisReader
from winnow.features.remote.state import RedisState

__all__ = ["Mirror", "RedisReader", "RedisState"]
