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
        at: moments of all rows with final labels, older ones too, sorted int64 [N].
    """

    data: Dataset
    split: dict[str, int]
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
    if len(at) < LEAST_ROWS:
        what = f"{len(at)} impressions with final labels since the release was trained; at least {LEAST_ROWS} needed"
        raise InputError(Problem("too-few-rows", what, fix="wait until more labels are final, or give a longer window"))
    middle, cut = (int(at[int(len(at) * share)]) for share in ((1 - judged) / 2, 1 - judged))
    data = between(stores, system, (start, cut, end), as_of=as_of)
    split = {"train_from": start, "train_until": middle, "valid_until": cut, "test_until": end}
    return Recent(data, split, everything)


def between(stores: Stores, system: System, cuts: tuple[int, int, int], *, as_of: int) -> Dataset:
    """Final rows from the first moment to the second as `train`, later ones to the third as `test`; microseconds UTC.

    The second is the moment of a row: rows of that very moment are in neither.
    """
    first, middle, end = cuts
    split = TimeSplit(
        train_from=first, train_until=middle, valid_until=middle + 1, test_until=max(end, middle + 2),
        embargo=timedelta(0),
    )  # fmt: skip
    return dataset.build(stores, system, as_of=as_of, split=split)
