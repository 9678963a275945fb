"""Aggregates: the state that features keep about the past, shared by all features that need the same."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Literal

from winnow.core.time import FOREVER, to_us
from winnow.data.schema import Condition, Events, Path

FIXED_POINT = 1_000_000  # sums are kept as whole millionths: exact, and the same in any order
DECAY_UNIT = 1 << 20  # an event at the start of a decay period adds this much
DECAY_HALVES = 16  # half-lives in a decay period; what is older than the period before the present one is forgotten
OWN_TIME = "at"  # `max` of this is the time of the latest event

_HOPS_S = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86_400, 3 * 86_400, 7 * 86_400)
_HOPS_US = [to_us(timedelta(seconds=s)) for s in _HOPS_S]
_LEAST_BUCKETS = 24


def hop_us(window: timedelta) -> int:
    """The step by which a window's far edge moves: the largest round step that gives at least 24 per window.

    >>> hop_us(timedelta(days=1)) == 3600 * 10**6
    True
    """
    size = to_us(window)
    fitting = [hop for hop in _HOPS_US if size % hop == 0 and size // hop >= _LEAST_BUCKETS]
    return max(fitting, default=max((h for h in _HOPS_US if size % h == 0), default=size))


@dataclass(frozen=True, eq=False)
class Aggregate:
    """What is kept per key about one event type.

    An event with own time `at`, known to the log since `known_at`, counts at moment t if and only if it is known
    (`known_at` < t) and its hop is inside the window: floor(at / hop) > floor(t / hop) - window / hop.

    Args:
        kind: over the events that count: the `sum` of a field (of ones when `value` is None), the `max` of a field,
            the number of `distinct` values of a field or role, or the most `recent` events.
        events: the event type.
        by: one or two key paths; a multi-valued key counts the event under each value.
        value: the field or role that is summed, compared, told apart or kept. Sums and maxima of numbers are in
            millionths; `max` of `at` is the latest own time.
        conditions: tests that an event must pass.
        window: how far back; FOREVER for all time. Not for `recent`.
        k: how many are kept. Only for `recent`.
        negated: `max` of the field times -1, which is its minimum times -1. Only for `max`.
        half_life: each event adds DECAY_UNIT x 2^(age of its period / half-life) rather than one: forward decay
            (Cormode et al., 2009), in whole numbers. Its window is one or two periods. Only for `sum` without a value.
    """

    kind: Literal["sum", "max", "distinct", "recent"]
    events: Events
    by: tuple[Path, ...]
    value: str | None = None
    conditions: tuple[Condition, ...] = ()
    window: timedelta = FOREVER
    k: int = 0
    negated: bool = False
    half_life: timedelta | None = None

    @cached_property
    def buckets(self) -> int:
        """How many hops the window spans; 1 for FOREVER."""
        return 1 if self.window == FOREVER else to_us(self.window) // self.hop

    @cached_property
    def hop(self) -> int:
        """The hop in microseconds; 0 for FOREVER."""
        if self.half_life is not None:
            return DECAY_HALVES * to_us(self.half_life)
        return 0 if self.window == FOREVER else hop_us(self.window)

    @cached_property
    def subject(self) -> str:
        """The key paths as one name."""
        return "*".join(map(str, self.by))

    @cached_property
    def name(self) -> str:
        """A unique, stable name; aggregates of one name are equal."""
        what = f"{self.events.name}.{self.value}" if self.value else self.events.name
        tests = "".join(f"[{c.to_data()}]" for c in self.conditions)
        size = f"last{self.k}" if self.kind == "recent" else ("ever" if not self.hop else f"{to_us(self.window)}us")
        decay = f"/half{to_us(self.half_life)}us" if self.half_life is not None else ""
        return f"{self.kind}({'-' * self.negated}{what}{tests})/{self.subject}/{size}{decay}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aggregate) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def to_data(self) -> str:
        return self.name


def latest(events: Events, by: tuple[Path, ...], conditions: tuple[Condition, ...] = ()) -> Aggregate:
    """The own time of a key's latest event."""
    return Aggregate("max", events, by, OWN_TIME, conditions)
