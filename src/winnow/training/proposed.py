"""Scores and places that sources would have given, for impressions whose lists were made elsewhere.

What the service served is logged as it was; an imported log knows nothing of our sources. They are asked again here,
with the texts and vectors of now, so that a first ladder can learn from them too. That index knows what came after an
impression, and those vectors learned from training rows: what is measured on such rows is a little too good.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.features.proposed import Proposed, proposed_name
from winnow.models.base import load_query_encoder
from winnow.models.examples import Examples
from winnow.models.picture_retrieval import PictureRetriever
from winnow.retrieval.past import Past, Vectors
from winnow.training.dataset import Dataset
from winnow.training.fit import serving, user_side
from winnow.training.stores import Stores


def fill(stores: Stores, system: System, data: Dataset, folder: Path, *, threads: int = 1) -> None:
    """Fills in what no list of ours says, in place.

    Args:
        stores: the project; its history in step with the log.
        system: the declaration.
        data: its features of source scores and places are 0 where nothing is known.
        folder: with `retrieval/`.
        threads: CPU threads.
    """
    features = [f for f in system.features if isinstance(f, Proposed)]
    for part in (data.train, data.valid, data.test) if features else ():
        places = {f.names[0]: part.features.numeric_names.index(f.names[0]) for f in features}
        unknown = np.flatnonzero(~part.features.numeric[:, list(places.values())].any(axis=1))
        if len(unknown):
            past = _past(stores, system, data, part.take(unknown), folder=folder, threads=threads)
            _put(past, part.features.numeric, unknown, places)


def _put(past: Past, numeric: NDArray[np.float32], unknown: NDArray[np.int64], places: Mapping[str, int]) -> None:
    for source in past.system.pipeline.sources:
        columns = [places.get(proposed_name(source.name, what)) for what in ("score", "rank")]
        if any(column is not None for column in columns) and (stood := source.replay(past)) is not None:
            for column, values in zip(columns, stood, strict=True):
                if column is not None:
                    numeric[unknown, column] = np.nan_to_num(values)


def _past(stores: Stores, system: System, data: Dataset, rows: Examples, *, folder: Path, threads: int) -> Past:
    @cache
    def said(column: str) -> Mapping[int, str]:
        user = system.labels.user
        frame = stores.history.rows(user.name).sort("seq").select("row", column).drop_nulls().collect()
        values = frame[column].to_list()
        if user.columns[column].has_domain:
            values = stores.log.ids.ids(user.domain(column), [max(value, 0) for value in values])
        return dict(zip(frame["row"].to_list(), values, strict=True))

    @cache
    def vectors() -> Vectors | None:
        name = serving(system.retrieval)
        if name is None or system.retrieval is None or isinstance(system.retrieval.serving, PictureRetriever):
            return None
        place = folder / "retrieval" / name
        queries = load_query_encoder(place, threads=threads)(user_side(system, data, rows).features)
        return Vectors(queries, np.load(place / "item_vectors.npy"), np.load(place / "item_rows.npy"))

    return Past(system, stores.log, stores.folder, rows.user, rows.item, said, vectors)
