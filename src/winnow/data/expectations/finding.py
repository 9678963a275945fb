"""What a check says: one expectation held against the data, with a verdict."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "broken"]
ORDER: tuple[Verdict, ...] = ("ok", "warn", "broken")


@dataclass(frozen=True)
class Finding:
    """One expectation held against the data.

    Args:
        kind: `event` or `table`.
        name: the event type or table.
        column: empty for the whole.
        measure: `missing`, `outside`, `never`, `others`, `psi`, `unique`, `per_hour`, `per_day`, `late_s`, `ahead`,
            `order`, `copies` or `resent`.
        value: what was measured.
        limit: up to which it is ok; up to twice that it is a warning.
        rows: how many rows it was measured on.
        verdict: `ok`, `warn` or `broken`.
        what: in words.
    """

    kind: str
    name: str
    column: str
    measure: str
    value: float
    limit: float
    rows: int
    verdict: Verdict
    what: str

    @property
    def subject(self) -> str:
        return f"{self.name}.{self.column}" if self.column else self.name


def judge(value: float, limit: float) -> Verdict:
    """Up to the limit is ok, up to twice the limit a warning."""
    return "ok" if not value > limit else "warn" if value <= 2 * limit else "broken"
