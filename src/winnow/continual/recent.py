"""The newest part of the log, cut for what is refreshed between full trainings."""

from dataclasses import dataclass
from datetime import timedelta

from winnow.core.errors import InputError, Problem
from winnow.core.system import System
from winnow.core.time import to_us
from winnow.data.split import TimeSplit
from winnow.features.batch import Ints
from winnow.releases.release import Release
from winnow.training import dataset
from winnow.training.dataset import Dataset
from winnow.training.stores import Stores

LEAST_ROWS = 200


@dataclass(frozen=True)
class Recent:
    """Rows newer than a release's training, cut in time.

    Args:
        data: `train` to learn from, `test` to be judged on.
        split: the cuts for the manifest: what was learned from is its train and valid part, the test part is judged.
        learned: up to where rows were learned from; labels of those after it reach into what is judged, microseconds.
        at: moments of all rows with final labels, older ones too, sorted int64 [N].
    """

    data: Dataset
    split: dict[str, int]
    learned: int
    at: Ints


def newest(stores: Stores, system: System, release: Release, *, last: timedelta, judged: float, as_of: int) -> Recent:
    """What came after a release was trained, as far as its labels are final.

    Args:
        stores: the project; its history in step with the log.
        system: the declaration that the release carries.
        release: its training rows are left out.
        last: how far back from the newest final label.
        judged: share of the rows, the newest ones, that are kept to judge by.
        as_of: labels younger than their window at this moment are left out, microseconds UTC.

    Raises:
        InputError: `too-few-rows`.
    """
    rows = dataset.labelled(system, stores.history, as_of)
    everything = rows.filter(rows["state"] == "final")["at"].to_numpy()
    end = int(everything.max(initial=0)) + 1
    start = max(release.manifest.window.to_us, end - to_us(last))
    at = everything[everything >= start]
    cut = int(at[int(len(at) * (1 - judged))]) if len(at) else start
    gap = to_us(embargo(system))
    learned = cut - gap + 1 if gap else cut
    few = int((at < learned).sum())
    if len(at) < LEAST_ROWS or few < LEAST_ROWS // 2:
        what = f"{len(at)} impressions with final labels since the release was trained, {few} of them before those that"
        what += f" judge; at least {LEAST_ROWS} and {LEAST_ROWS // 2} needed"
        raise InputError(Problem("too-few-rows", what, fix="wait until more labels are final, or give a longer window"))
    data = between(stores, system, (start, cut, end), as_of=as_of)
    middle = int(at[int(len(at) * (1 - judged) / 2)])
    split = {"train_from": start, "train_until": middle, "valid_until": cut, "test_until": end}
    return Recent(data, split, learned, everything)


def embargo(system: System) -> timedelta:
    """How long before a cut rows are left out, because their labels are made of what happens after it."""
    if not system.labels.waits:
        return timedelta(0)
    declared = system.retrain.embargo
    return system.labels.within if declared is None else declared


def between(stores: Stores, system: System, cuts: tuple[int, int, int], *, as_of: int) -> Dataset:
    """Final rows from the first moment to the second as `train`, later ones to the third as `test`; microseconds UTC.

    Rows of `train` whose labels reach beyond the second moment are left out. That is the moment of a row: rows of that
    very moment are in neither.
    """
    first, middle, end = cuts
    split = TimeSplit(
        train_from=first, train_until=middle, valid_until=middle + 1, test_until=max(end, middle + 2),
        embargo=embargo(system),
    )  # fmt: skip
    return dataset.build(stores, system, as_of=as_of, split=split)
