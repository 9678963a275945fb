"""Live tables: aggregates and table columns as of now, in shared memory; one writer, any number of readers."""

from winnow.features.live.building import Replay
from winnow.features.live.home import memory_for
from winnow.features.live.layout import Caps, size
from winnow.features.live.state import LiveReader, LiveState
from winnow.features.live.writer import LiveWriter

__all__ = ["Caps", "LiveReader", "LiveState", "LiveWriter", "Replay", "memory_for", "size"]
