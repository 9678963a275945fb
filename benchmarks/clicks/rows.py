"""Click logs as examples to learn from."""

from pathlib import Path

import numpy as np
import polars as pl

from winnow.data.importers import frappe
from winnow.features.batch import FeatureBatch
from winnow.models.examples import Examples

FIELDS = ("user", "item", *frappe.CONTEXT)


def examples(frame: pl.DataFrame, fields: tuple[str, ...], *, label: str = "click") -> Examples:
    """Rows of codes as examples with one head, `click`."""
    rows = len(frame)
    codes = {name: frame[name].to_numpy().astype(np.int64) for name in fields}
    features = FeatureBatch(np.zeros((rows, 0), np.float32), (), codes)
    clicks, order = frame[label].to_numpy().astype(np.float32), np.arange(rows)
    return Examples(features, {"click": clicks}, np.ones(rows, np.float32), order, order, order)


def frappe_parts(path: Path) -> dict[str, Examples]:
    """The three given parts of Frappe, with two negatives for each use."""
    return {part: examples(frappe.read(path, part), FIELDS) for part in frappe.PARTS}
