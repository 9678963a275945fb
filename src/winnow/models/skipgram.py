"""L1 of retrieval between items: what visitors look at in one session, and choose in the end, lies near."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import META, Artefact
from winnow.models.attributes import Attributes
from winnow.models.base import ItemEncoder, Run, load_item_encoder
from winnow.models.examples import Catalogue
from winnow.models.item_retrieval import ItemRetriever, demand_sessions, normalised, places
from winnow.models.retrieval import ROWS, VECTORS, write_items
from winnow.models.sessions import NONE, Journeys, Sessions

_LEARNED = "learned.npz"
_LIKE = "like"
_DONORS = 20_000  # items that lend their vector; the most seen ones
_AT_ONCE = 512
_LITTLE = 1e-3  # a prior of 0 still lets the unseen borrow
_OWN = 20.0  # times `prior` from which a lent vector would change next to nothing


@dataclass(frozen=True)
class SkipGram(ItemRetriever):
    """Skip-gram with negative sampling over sessions, in which the chosen item is a context of every step.

    Four terms: the steps within the window and the chosen item draw near, random items and random items of the same
    market are pushed away. Without the last, negatives would mostly be of other markets, and vectors would say little
    but the market. The vector of an item that was seen n times counts n, the mean of those of its likest items counts
    `prior`: an item that nobody has seen yet stands among its like from the first moment.

    Args:
        sessions: what it learns from.
        like: which items are alike by what they are; those lend their vectors.
        donors: how many of them.
        prior: sightings that the lent vector is worth.
        embedding_size: of all vectors.
        window: steps to either side that count as context.
        negatives: random negatives of each pair, by weight; `shared` are drawn for a batch.
        market_negatives: negatives of each pair from the market of its centre.
        oversample: how often the pairs of a session with a goal are learned from in each pass.
        epochs, batch_size, learning_rate: as in every model.

    Source: Grbovic and Cheng, "Real-time personalization using embeddings for search ranking at Airbnb", KDD 2018.
    """

    sessions: Sessions
    like: Attributes
    donors: int = field(kw_only=True, default=3)
    prior: float = field(kw_only=True, default=3.0)
    embedding_size: int = field(kw_only=True, default=32)
    window: int = field(kw_only=True, default=5)
    negatives: int = field(kw_only=True, default=5)
    shared: int = field(kw_only=True, default=64)
    market_negatives: int = field(kw_only=True, default=2)
    oversample: int = field(kw_only=True, default=3)
    epochs: int = field(kw_only=True, default=10)
    batch_size: int = field(kw_only=True, default=1024)
    learning_rate: float = field(kw_only=True, default=0.1)

    @property
    def learns_from(self) -> Sessions:
        return self.sessions

    def learn(self, train: Journeys, valid: Journeys, catalogue: Catalogue, run: Run) -> None:
        from winnow.models.networks.skipgram import fit

        demand_sessions(train)
        part = run.part(_LIKE, 0.0, 0.05)
        self.like.learn(train, valid, catalogue, part)
        code = load_item_encoder(part.folder, threads=run.threads)(catalogue.features, catalogue.rows)
        rows, local = _numbered(train, catalogue.rows)
        vectors = normalised(fit(self, local, len(rows), run.part("fit", 0.05, 1.0)))
        seen = np.bincount(np.append(local.items, local.goals[local.goals >= 0]), minlength=len(rows))
        learned = Learned(rows, vectors, seen.astype(np.float32), code[places(catalogue.rows, rows)])
        learned.save(run)
        facts = {"size": self.embedding_size, "donors": self.donors, "prior": self.prior}
        write_items(run.folder, catalogue.rows, learned.encode(catalogue.rows, code, self.donors, prior=self.prior))
        files = [_LEARNED, VECTORS, ROWS, f"{_LIKE}/{META}"]
        Artefact.write(run.folder, model="SkipGram", files=files, declared=self.to_data(), **facts)

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        code = load_item_encoder(artefact.folder / _LIKE, threads=threads)
        learned = Learned(**artefact.arrays(_LEARNED))
        donors, prior = int(artefact.fact("donors")), float(artefact.fact("prior"))

        def encode(batch: FeatureBatch, rows: Ints) -> Floats:
            return learned.encode(rows, code(batch, rows), donors, prior=prior)

        return encode


@dataclass(frozen=True, eq=False)
class Learned:
    """What sessions have taught about the V items in them.

    Args:
        rows: int64 [V].
        vectors: of length 1, float32 [V, D].
        seen: how often each occurs, float32 [V].
        code: what they are, float32 [V, C].
    """

    rows: Ints
    vectors: Floats
    seen: Floats
    code: Floats

    def encode(self, rows: Ints, code: Floats, donors: int, *, prior: float) -> Floats:
        """Vectors of any items, float32 [I, D]: learned ones, mixed with those of their like by how often seen.

        Args:
            rows: int64 [I].
            code: what they are, float32 [I, C].
            donors: how many of their like are asked.
            prior: sightings that their mean is worth.
        """
        place = places(self.rows, rows)
        known = place >= 0
        own = np.where(known[:, None], self.vectors[place], np.float32(0))
        count = np.where(known, self.seen[place], np.float32(0))
        short = np.flatnonzero(count < _OWN * max(prior, 1.0))
        lent = np.zeros_like(own)
        lent[short] = self._lent(rows[short], code[short], donors)
        return normalised(own * count[:, None] + lent * np.float32(max(prior, _LITTLE)))

    def _lent(self, rows: Ints, code: Floats, donors: int) -> Floats:
        """The mean vector of the likest items besides the item itself, float32 [n, D]."""
        best = np.argsort(-self.seen, kind="stable")[:_DONORS]
        table, k = np.ascontiguousarray(self.code[best].T), min(donors, len(best))
        lent = np.zeros((len(rows), self.vectors.shape[1]), np.float32)
        for start in range(0, len(rows), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            likeness = code[part] @ table
            likeness[rows[part][:, None] == self.rows[best]] = -np.inf
            likest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
            lent[part] = self.vectors[best[likest]].mean(axis=1)
        return normalised(lent)

    def save(self, run: Run) -> None:
        """Writes it."""
        np.savez(run.folder / _LEARNED, rows=self.rows, vectors=self.vectors, seen=self.seen, code=self.code)


def _numbered(train: Journeys, rows: Ints) -> tuple[Ints, Journeys]:
    """The items of sessions that are in the catalogue, int64 [V], and the sessions over 0..V-1."""
    seen = np.unique(np.append(train.items, train.goals))
    known = seen[np.isin(seen, rows)]
    inside, session = np.isin(train.items, known), train.session
    lengths = np.bincount(session[inside], minlength=len(train))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    goals = np.where(np.isin(train.goals, known), np.searchsorted(known, train.goals), NONE)
    markets = _of(train.markets, known) if len(train.markets) else train.markets
    items = np.searchsorted(known, train.items[inside])
    return known, replace(
        train, items=items, starts=starts, weights=train.weights[inside], goals=goals, markets=markets
    )


def _of(values: Ints, rows: Ints) -> NDArray[np.int64]:
    inside = rows < len(values)
    return np.where(inside, values[np.where(inside, rows, 0)], NONE)
