"""Raw values become columns: lists from JSON and polars series come out the same, with a mask per kind of mistake."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from numbers import Integral, Real
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.time import MICROS, parse_time
from winnow.data.chunk import NO_TIME
from winnow.data.schema import Storage

Mask = NDArray[np.bool_]
Raw = list[Any] | pl.Series
LONGEST_ID = 512  # characters
_FARTHEST = 1 << 62  # microseconds either side of 1970
_SECONDS_BELOW, _MILLIS_BELOW = 25_000_000_000, 10_000_000_000_000  # as `parse_time` tells units apart


@dataclass(frozen=True, eq=False)
class Parsed:
    """A column after parsing.

    Args:
        values: float64 (NaN missing) for numbers, int64 for times (`NO_TIME` missing) and flags (-1 missing), else a
            list with None where missing: strings, or lists of strings for `categories`.
        faults: code → mask of the rows with that mistake; their values are missing.
    """

    values: Any
    faults: Mapping[str, Mask] = field(default_factory=dict)

    def only(self, keep: Mask) -> Any:
        """The values of the chosen rows."""
        if keep.all():
            return self.values
        if isinstance(self.values, list):
            return [self.values[i] for i in np.flatnonzero(keep).tolist()]
        return self.values[keep]


def parse(raw: Raw, storage: Storage) -> Parsed:
    """A column of some kind from what was sent.

    Codes of mistakes: `wrong-type`, `not-finite` (numbers), `bad-time`, `id-too-long`.
    """
    if isinstance(raw, pl.Series):
        return _FROM_SERIES[storage](raw)
    return _FROM_LIST[storage](raw)


def _mask(flags: Sequence[bool] | Mask) -> Mask:
    return np.asarray(flags, dtype=bool)


def _found(**faults: Mask | None) -> dict[str, Mask]:
    named = {code.replace("_", "-"): mask for code, mask in faults.items() if mask is not None}
    return {code: mask for code, mask in named.items() if mask.any()}


# From lists ---------------------------------------------------------------------------------------------------------


def _each(values: list[Any], one: Callable[[Any], Any]) -> tuple[list[Any], Mask | None]:
    """`one` of every value that is there; a value that it refuses becomes None and is marked."""
    out: list[Any] = []
    wrong: list[int] = []
    for i, value in enumerate(values):
        try:
            out.append(None if value is None else one(value))
        except (TypeError, ValueError, OverflowError, StopIteration):
            out.append(None)
            wrong.append(i)
    if not wrong:
        return out, None
    mask = np.zeros(len(values), dtype=bool)
    mask[wrong] = True
    return out, mask


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _numbers(values: list[Any]) -> Parsed:
    wrong = None
    if not set(map(type, values)) <= {float, type(None)}:
        values, wrong = _each(values, _number)
    array = np.array(values, dtype=np.float64)
    odd = ~np.isfinite(array)
    if odd.any():
        odd &= _mask([v is not None for v in values])
        array[odd] = np.nan
    return Parsed(array, _found(wrong_type=wrong, not_finite=odd))


def _moment(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float | datetime):
        raise TypeError
    moment = parse_time(value)
    if abs(moment) >= _FARTHEST:
        raise ValueError
    return moment


def _times(values: list[Any]) -> Parsed:
    if set(map(type, values)) == {int} and max(map(abs, values)) < _FARTHEST:
        array = np.array(values, dtype=np.int64)
        scale = np.select([np.abs(array) < _SECONDS_BELOW, np.abs(array) < _MILLIS_BELOW], [MICROS, 1000], 1)
        return Parsed(array * scale)
    moments, bad = _each(values, _moment)
    return Parsed(np.array([NO_TIME if m is None else m for m in moments], dtype=np.int64), _found(bad_time=bad))


def _flag(value: Any) -> int:
    if value not in (0, 1) or isinstance(value, float):
        raise TypeError
    return int(value)


def _flags(values: list[Any]) -> Parsed:
    flags, wrong = _each(values, _flag)
    return Parsed(np.array([-1 if f is None else f for f in flags], dtype=np.int64), _found(wrong_type=wrong))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half a surrogate pair is a ValueError here rather than a failure on disk
    return value


def _plain_texts(values: list[Any]) -> bool:
    """Whether all are strings or None, and valid; a few calls for the whole column."""
    if not set(map(type, values)) <= {str, type(None)}:
        return False
    return _encodes("".join(filter(None, values)))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(values: list[Any]) -> Parsed:
    if _plain_texts(values):
        return Parsed(values)
    texts, wrong = _each(values, _text)
    return Parsed(texts, _found(wrong_type=wrong))


def _id(value: Any) -> str | None:
    if type(value) is not str:
        if isinstance(value, bool) or not isinstance(value, str | Integral):
            raise TypeError
        value = str(value)
    value.encode()
    return value or None


def _ids(values: list[Any]) -> Parsed:
    if _plain_texts(values):
        return _short_enough([i or None for i in values] if "" in values else values, None)
    ids, wrong = _each(values, _id)
    return _short_enough(ids, wrong)


def _short_enough(ids: list[str | None], wrong: Mask | None) -> Parsed:
    if max(map(len, filter(None, ids)), default=0) <= LONGEST_ID:
        return Parsed(ids, _found(wrong_type=wrong))
    long = _mask([i is not None and len(i) > LONGEST_ID for i in ids])
    return Parsed(
        [None if bad else i for i, bad in zip(ids, long, strict=True)], _found(wrong_type=wrong, id_too_long=long)
    )


def _several(value: Any) -> list[str]:
    if not isinstance(value, list | tuple):
        raise TypeError
    ids = [i for i in map(_id, value) if i is not None]
    if any(len(i) > LONGEST_ID for i in ids):
        raise ValueError
    return list(dict.fromkeys(ids))


def _id_lists(values: list[Any]) -> Parsed:
    lists, wrong = _each(values, _several)
    return Parsed(lists, _found(wrong_type=wrong))


# From series --------------------------------------------------------------------------------------------------------


def _none_fits(series: pl.Series, missing: Any) -> Parsed:
    """A series of a type that no value of the column can have: wrong wherever there is a value."""
    values = [None] * len(series) if missing is None else np.full(len(series), missing)
    return Parsed(values, _found(wrong_type=series.is_not_null().to_numpy()))


def _number_series(series: pl.Series) -> Parsed:
    if series.dtype != pl.Null and not series.dtype.is_numeric():
        return _none_fits(series, np.nan)
    array = series.cast(pl.Float64).to_numpy(writable=True)
    odd = ~np.isfinite(array) & series.is_not_null().to_numpy()
    array[odd] = np.nan
    return Parsed(array, _found(not_finite=odd))


def _time_series(series: pl.Series) -> Parsed:
    """Moments; whole numbers are microseconds (a column tells no unit, so none is guessed)."""
    if series.dtype == pl.Date:
        series = series.cast(pl.Datetime("us"))
    if series.dtype.is_(pl.Datetime) or isinstance(series.dtype, pl.Datetime):
        series = series.dt.cast_time_unit("us").to_physical()
    if series.dtype != pl.Null and not series.dtype.is_integer():
        return Parsed(np.full(len(series), NO_TIME), _found(bad_time=series.is_not_null().to_numpy()))
    far = (series.abs() >= _FARTHEST).fill_null(False).to_numpy() if series.dtype != pl.Null else None
    array = series.cast(pl.Int64, strict=False).fill_null(NO_TIME).to_numpy(writable=True)
    if far is not None:
        array[far] = NO_TIME
    return Parsed(array, _found(bad_time=far))


def _flag_series(series: pl.Series) -> Parsed:
    if series.dtype not in (pl.Null, pl.Boolean) and not series.dtype.is_integer():
        return _none_fits(series, -1)
    array = series.cast(pl.Int64, strict=False).fill_null(-1).to_numpy(writable=True)
    wrong = series.is_not_null().to_numpy() & (array != 0) & (array != 1)
    array[wrong] = -1
    return Parsed(array, _found(wrong_type=wrong))


def _text_series(series: pl.Series) -> Parsed:
    if series.dtype not in (pl.Null, pl.String, pl.Categorical, pl.Enum):
        return _none_fits(series, None)
    return Parsed(series.cast(pl.String).to_list())


def _id_series(series: pl.Series) -> Parsed:
    if series.dtype not in (pl.Null, pl.String, pl.Categorical, pl.Enum) and not series.dtype.is_integer():
        return _none_fits(series, None)
    text = series.cast(pl.String)
    if text.len() and (text == "").any():
        text = text.replace("", None)
    return _short_enough(text.to_list(), None)


def _id_list_series(series: pl.Series) -> Parsed:
    return _none_fits(series, None) if not isinstance(series.dtype, pl.List | pl.Null) else _id_lists(series.to_list())


def python_value(value: Any) -> Any:
    """A value of a frame as JSON can hold it: dates and times as ISO 8601 text."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


_FROM_LIST: Mapping[Storage, Callable[[list[Any]], Parsed]] = {
    "number": _numbers, "time": _times, "flag": _flags, "text": _texts, "category": _ids, "ref": _ids,
    "categories": _id_lists,
}  # fmt: skip
_FROM_SERIES: Mapping[Storage, Callable[[pl.Series], Parsed]] = {
    "number": _number_series, "time": _time_series, "flag": _flag_series, "text": _text_series,
    "category": _id_series, "ref": _id_series, "categories": _id_list_series,
}  # fmt: skip
