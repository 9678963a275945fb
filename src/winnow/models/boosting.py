"""L1: gradient boosted trees, one forest per head."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import FeatureBatch, Floats
from winnow.models.artefact import Artefact
from winnow.models.base import HeadType, Ranker, Run, Scorer, chosen_heads
from winnow.models.examples import Examples

_PATIENCE = 60
_UNJUDGED = 200  # trees where no validation label says when to stop


@dataclass(frozen=True)
class GradientBoosting(Ranker):
    """LightGBM; categories of few values are split natively. Those of many (ids) are left to their rates and counts:
    splitting on them learns rows by heart.

    Args:
        epochs: most trees per head; it stops when the validation loss has not fallen for 60.
        learning_rate: weight of a tree.
        reg: L2 penalty of leaf values.
        leaves: leaves of a tree.
        least: fewest rows in a leaf, and occurrences of a category that is told apart.
        most_categories: features with more frequent values than this are left out.
    """

    epochs: int = 1_000
    learning_rate: float = 0.04
    reg: float = 10.0
    leaves: int = 15
    least: int = 50
    most_categories: int = 64

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        types = chosen_heads(self.heads, train, run)
        columns = Columns.fit(train.features, self.least, self.most_categories)
        x, held_out = columns.matrix(train.features), columns.matrix(valid.features)
        for done, (head, kind) in enumerate(types.items()):
            run.progress(f"trees for {head}", done / len(types))
            sides = [(m, e.labels[head], e.weight) for m, e in ((x, train), (held_out, valid))]
            booster = self._boost(kind, sides, columns, run)
            (run.folder / _file(head)).write_text(booster)
        facts = {"heads": list(types), "types": list(types.values()), "columns": columns.to_data()}
        Artefact.write(run.folder, model="GradientBoosting", files=[_file(h) for h in types], **facts)

    def _boost(self, kind: HeadType, sides: list[tuple[Any, Floats, Floats]], columns: "Columns", run: Run) -> str:
        """One forest in LightGBM's text format."""
        import lightgbm as lgb

        known = [(m[k], y[k], w[k]) for m, y, w in sides for k in [~np.isnan(y)]]
        sets = [
            lgb.Dataset(m, y if kind == "binary" else np.log1p(np.maximum(y, 0)), weight=w,
                        feature_name=columns.labels, categorical_feature=columns.categorical_places)
            for m, y, w in known
        ]  # fmt: skip
        judged = sets[1:] if len(known[1][1]) else []
        stop: list[Any] = [lgb.early_stopping(_PATIENCE, verbose=False)] if judged else []
        trees = self.epochs if judged else _UNJUDGED
        booster = lgb.train(self._parameters(kind, run), sets[0], trees, judged, callbacks=stop)
        return str(booster.model_to_string())

    def _parameters(self, kind: HeadType, run: Run) -> dict[str, Any]:
        return {
            "objective": "binary" if kind == "binary" else "l2", "learning_rate": self.learning_rate,
            "num_leaves": self.leaves, "min_data_in_leaf": self.least, "lambda_l2": self.reg, "feature_fraction": 0.3,
            "bagging_fraction": 0.8, "bagging_freq": 1, "cat_smooth": 50, "cat_l2": 20, "max_cat_threshold": 16,
            "seed": run.seed, "num_threads": run.threads, "deterministic": True, "force_row_wise": True, "verbose": -1,
        }  # fmt: skip

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        heads = tuple(artefact.fact("heads"))
        boosters = [_load(artefact.path(_file(head))) for head in heads]
        return BoostingScorer(heads, artefact.fact("types"), Columns.of(artefact.fact("columns")), boosters, threads)


@dataclass(frozen=True)
class Columns:
    """The matrix that trees read: numerics as they are, then one column per single-valued category.

    Args:
        numeric: numeric features.
        categorical: categorical feature → domain rows told apart, most frequent first; the rest is missing.
    """

    numeric: list[str]
    categorical: dict[str, list[int]]

    @classmethod
    def fit(cls, batch: FeatureBatch, least: int, most: int) -> Self:
        single = {n: (rows[:, 0] if rows.ndim == 2 else rows) for n, rows in batch.categorical.items()}
        kept = {n: _frequent(rows, least) for n, rows in single.items()}
        return cls(list(batch.numeric_names), {n: rows for n, rows in kept.items() if 0 < len(rows) <= most})

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        return cls(data["numeric"], dict(data["categorical"]))

    def to_data(self) -> dict[str, Any]:
        return {"numeric": self.numeric, "categorical": list(self.categorical.items())}  # pairs: the order counts

    @property
    def labels(self) -> list[str]:
        return [f"f{i}" for i in range(len(self.numeric) + len(self.categorical))]

    @property
    def categorical_places(self) -> list[int]:
        return [len(self.numeric) + i for i in range(len(self.categorical))]

    def matrix(self, batch: FeatureBatch) -> NDArray[np.float32]:
        """float32 [N, F + S]; NaN where a feature is missing or a category is not told apart."""
        out = np.full((len(batch), len(self.numeric) + len(self.categorical)), np.nan, np.float32)
        place = {name: i for i, name in enumerate(batch.numeric_names)}
        for column, name in enumerate(self.numeric):
            if name in place:
                out[:, column] = batch.numeric[:, place[name]]
        for column, (name, kept) in enumerate(self.categorical.items(), len(self.numeric)):
            if name in batch.categorical:
                rows = batch.categorical[name]
                out[:, column] = _codes(rows[:, 0] if rows.ndim == 2 else rows, kept)
        return out


def _frequent(rows: NDArray[np.int64], least: int) -> list[int]:
    counts = np.bincount(rows[rows >= 0])
    order = np.argsort(-counts, kind="stable")
    return [int(r) for r in order if counts[r] >= least]


def _codes(rows: NDArray[np.int64], kept: list[int]) -> NDArray[np.float32]:
    table = np.full(max(kept) + 2, np.nan, np.float32)
    table[np.array(kept)] = np.arange(len(kept), dtype=np.float32)
    return table[np.where((rows >= 0) & (rows <= max(kept)), rows, len(table) - 1)]


@dataclass(frozen=True)
class BoostingScorer:
    """Fitted forests."""

    heads: tuple[str, ...]
    types: list[HeadType]
    columns: Columns
    boosters: list[Any]
    threads: int

    def score(self, batch: FeatureBatch) -> Floats:
        """Predictions, float32 [N, H]."""
        if not len(batch):
            return np.zeros((0, len(self.heads)), np.float32)
        x = self.columns.matrix(batch)
        out = [b.predict(x, num_threads=self.threads) for b in self.boosters]
        amounts = [p if t == "binary" else np.expm1(np.maximum(p, 0)) for p, t in zip(out, self.types, strict=True)]
        return np.stack(amounts, axis=1).astype(np.float32)


def _load(path: Path) -> Any:
    import lightgbm as lgb

    return lgb.Booster(model_str=path.read_text())


def _file(head: str) -> str:
    return f"trees_{head}.txt"
