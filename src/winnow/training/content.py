"""What the items of a system say, as models that judge content learn from it.

N labelled rows, F facts.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from winnow.core.system import System
from winnow.data.text import text_hashes
from winnow.encoders.base import Encode, Encoder, Floats
from winnow.models.content import Content, Labelled
from winnow.models.examples import Examples
from winnow.training.stores import Stores


def labelled(stores: Stores, system: System, rows: Examples) -> Labelled:
    """Posts as they stood at the moment of each row, with what was found out about them.

    The facts are the declared features, as of that moment. A post whose row came after the moment is read as it first
    stood: content is no knowledge about itself, but an edit is.

    Args:
        stores: the project; its history in step with the log.
        system: one whose pipeline decides.
        rows: N labelled rows.
    """
    how, said = system.pipeline, _as_of(stores, system, rows)
    texts = said[how.text.columns[-1]].fill_null("").to_list()
    sentences = None if how.sentences is None else _kept(stores, how.sentences)
    pictures = None if how.looks is None else _kept(stores, how.looks)(said[how.picture.columns[-1]].to_list())
    content = Content.of(texts, sentences, pictures=pictures, facts=rows.features.numeric)
    return Labelled(content, rows.labels)


def _as_of(stores: Stores, system: System, rows: Examples) -> pl.DataFrame:
    """The version of each row's item that was known at its moment, else the first; in the order of the rows."""
    asked = pl.DataFrame({"row": rows.item, "at": rows.at, "place": np.arange(len(rows))}).sort("at")
    wanted = [p.columns[-1] for p in (system.pipeline.text, system.pipeline.picture) if p is not None]
    living = stores.history.rows(system.labels.item.name).filter(pl.col("deleted") == 0)
    versions = living.select("row", pl.col("known_at").alias("at"), *wanted).sort("at", maintain_order=True).collect()
    before = asked.join_asof(versions, on="at", by="row", check_sortedness=False)
    first = asked.select("row", "place").join(versions.unique("row", keep="first"), on="row", how="left")
    both = before.join(first.select("place", *wanted), on="place", suffix="_first").sort("place")
    return both.select(pl.coalesce(name, f"{name}_first").alias(name) for name in wanted)


def _kept(stores: Stores, encoder: Encoder) -> Encode:
    """An encoder whose vectors are kept: zeros for an empty text, NaN for no picture or one that cannot be read."""

    def encode(values: Sequence[str | None]) -> Floats:
        values = [value or None for value in values]
        stores.encodings.ensure(encoder, values)
        hashes = text_hashes(values)
        vectors = stores.encodings.vectors(encoder, hashes)
        if encoder.of == "text":
            vectors[hashes == -1] = 0
        return vectors

    return encode
