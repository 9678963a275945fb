"""Training of user and item towers: sampled softmax on positives, first on the histories, then on the impressions.

Shapes: P positives of a batch, U uniform negatives, I items of the catalogue, K steps, D vector size.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.core.errors import InputError, Problem
from winnow.models.artefact import Artefact
from winnow.models.base import Run, chosen_heads
from winnow.models.examples import Catalogue, Examples
from winnow.models.inputs import History, Inputs, Numerics, Vocabulary
from winnow.models.networks import ranking
from winnow.models.networks.export import export
from winnow.models.networks.layers import Categories
from winnow.models.networks.loop import Batch, Options, declared_key, seeded, train
from winnow.models.networks.towers import ItemTower, MeanUser, SequenceUser, UserTower
from winnow.models.retrieval import FILES, ITEM, USER, ItemInputs, positives, query_feed, write_items
from winnow.models.sequence_tower import SequenceTower
from winnow.models.session import Session
from winnow.models.two_tower import TwoTower

_IDS = "id"  # the vocabulary of items, which no feature can be named
_LEAST = 5  # occurrences of a category that is told apart
_STEPS_JUDGED = 1_024  # next steps of a batch of histories that are learned from
_HISTORIES_A_STEP = 64
_HISTORY_RATE = 2e-3
_FAR = -1e9
_UNMARKED = 0.3  # weight of a watched step that no other sequence marks


class Pair(nn.Module):
    """Both towers, the catalogue, and how often each item is drawn.

    Args:
        user, item: the towers.
        catalogue: inputs of the item tower for every item.
        log_q: strength of the correction.
        negatives: U.
        lives: see `Catalogue`, [I, 2]; None when items live always.
    """

    def __init__(self, user: UserTower, item: ItemTower, catalogue: Batch, *, log_q: float, negatives: int,
                 lives: Tensor | None = None):  # fmt: skip
        super().__init__()
        self.lives = lives
        self.user, self.item = user, item
        self.catalogue, self.log_q, self.negatives = catalogue, log_q, negatives
        self.count = len(catalogue["id"])

    def items(self, places: Tensor) -> Tensor:
        """Vectors of items by their place in the catalogue."""
        return self.item({name: a[places] for name, a in self.catalogue.items()})  # type: ignore[no-any-return]

    def loss(
        self, users: Tensor, places: Tensor, owners: Tensor, share: Tensor, weight: Tensor, *, at: Tensor | None = None
    ) -> Tensor:
        """Sampled softmax with the positives of the batch and uniform draws as negatives.

        Args:
            users: vectors, [P, D].
            places: the positive of each, [P].
            owners: whose it is, [P]; others of the same owner are no negatives.
            share: of all positives, by item, [I].
            weight: [P].
            at: moments, [P]: items that could not be chosen then are no negatives; None for all that there are.
        """
        drawn = torch.randint(self.count, (self.negatives,))
        columns = torch.cat([places, drawn])
        expected = len(places) * share[columns] + self.negatives / self.count
        logits = users @ self.items(columns).T - self.log_q * expected.log()
        clash = places[:, None] == columns
        clash[:, : len(places)] |= owners[:, None] == owners
        if at is not None and self.lives is not None:
            begin, end = self.lives[columns].T
            clash |= (at[:, None] < begin) | (at[:, None] >= end)
        own = torch.arange(len(places))
        clash[own, own] = False
        losses = nn.functional.cross_entropy(logits.masked_fill(clash, _FAR), own, reduction="none")
        return (losses * weight).sum() / weight.sum().clamp(min=1e-6)


def fit(declared: TwoTower, train_rows: Examples, valid: Examples, *, catalogue: Catalogue, run: Run) -> None:
    """Train, export and write both towers and the encoded catalogue."""
    chosen_heads(declared.heads, train_rows, run)  # raises for no rows and unknown heads
    kept = [e.take(positives(e, declared.heads, run)) for e in (train_rows, valid)]
    if not len(kept[0]) or not len(catalogue.rows):
        fix = "name other heads, or collect more"
        raise InputError(Problem("no-examples", "no row has a positive outcome", fix=fix))
    items = item_inputs(train_rows, catalogue, ids=declared.ids)
    inputs = user_inputs(train_rows, items, catalogue)
    with seeded(run):
        pair = build(declared, inputs, items, catalogue)
        share = 0.5 if declared.history_epochs and isinstance(pair.user, SequenceUser) else 0.0
        key = declared_key(declared, train_rows)
        if share and isinstance(pair.user, SequenceUser):
            part = run.part("history", 0, share)
            learn_histories(declared, pair, inputs, train_rows, catalogue=catalogue, run=part, key=key)
        learn_impressions(declared, pair, inputs, kept, catalogue=catalogue, run=run.part("towers", share), key=key)
        write(declared, pair, inputs, items, catalogue=catalogue, sample=kept[0], run=run)


def item_inputs(examples: Examples, catalogue: Catalogue, *, ids: bool = True) -> ItemInputs:
    """How items are read: columns of the catalogue, and ids of the items that training or its histories name."""
    batch = catalogue.features
    histories = [recent.rows for recent in examples.features.sequences.values()][:1]
    tables = {name: Vocabulary.fit(rows, least=_LEAST) for name, rows in batch.categorical.items()}
    widths = {name: rows.shape[1] if rows.ndim == 2 else 0 for name, rows in batch.categorical.items()}
    named = [examples.item, *histories] if ids else [np.empty(0, np.int64)]
    return ItemInputs(Vocabulary.fit(*named), Inputs(Numerics.fit(batch), tables, widths))


def user_inputs(examples: Examples, items: ItemInputs, catalogue: Catalogue) -> Inputs:
    """How users are read: their features, and the history in the vocabularies of the item tower."""
    batch = examples.features
    inputs = Inputs.fit(examples, least=_LEAST, history=())
    history = History.match(batch, tuple(batch.sequences), _IDS, catalogue.features.categorical)
    if history is None:
        return inputs
    shared = {f: items.inputs.vocabularies[f] for f in history.columns.values()} | {_IDS: items.ids}
    length = batch.sequences[history.name].rows.shape[1]
    return replace(inputs, vocabularies={**shared, **inputs.vocabularies}, history=history, length=length)


def build(declared: TwoTower, inputs: Inputs, items: ItemInputs, catalogue: Catalogue) -> Pair:
    """Both towers with first weights."""
    size, own = declared.embedding_size, items.inputs
    attributes = {n: (len(v), own.widths[n]) for n, v in own.vocabularies.items()}
    item = ItemTower(len(items.ids), attributes, numerics=len(own.numerics.names), size=size,
                     id_dropout=declared.id_dropout, dropout=declared.dropout)  # fmt: skip
    categories = Categories(inputs.sizes, inputs.widths, 8)
    common: dict[str, Any] = {
        "width": 8 * len(inputs.sizes), "numerics": len(inputs.numerics.names), "size": size,
        "columns": inputs.history.columns if inputs.history else {}, "dropout": declared.dropout,
        "marks": len(inputs.history.marks) if inputs.history else 0,
    }  # fmt: skip
    if isinstance(declared, SequenceTower) and inputs.history:
        user: UserTower = SequenceUser(item, categories, steps=inputs.length, layers=declared.layers,
                                       heads=declared.attention_heads, **common)  # fmt: skip
    else:
        user = MeanUser(item, categories, **common)
    feeds = items.feed(catalogue.features, catalogue.rows)
    tensors = {k: torch.from_numpy(np.ascontiguousarray(a)) for k, a in feeds.items()}
    lives = None if catalogue.lives is None else torch.from_numpy(catalogue.lives)
    return Pair(user, item, tensors, log_q=declared.log_q, negatives=declared.negatives, lives=lives)


def learn_histories(declared: TwoTower, pair: Pair, inputs: Inputs, rows: Examples, *, catalogue: Catalogue, run: Run,
                    key: str) -> None:  # fmt: skip
    """What was watched next, at every step of each user's history as it stood at the user's first training row."""
    first = np.unique(rows.user, return_index=True)[1]
    recent = rows.features.sequences[inputs.history.name].rows if inputs.history else np.empty((0, 0), np.int64)
    first = first[(recent[first] >= 0).sum(1) > 1] if len(recent) == len(rows) else first[:0]
    if not len(first):
        return
    batch = rows.features.take(first)
    arrays = {k: a for k, a in query_feed(inputs, batch).items() if k.startswith("seq|")}
    arrays["next"] = places(recent[first], catalogue)
    arrays["user"] = rows.user[first]
    judges = np.arange(len(first)) % 10 == 0
    share = shares(arrays["next"], pair.count)
    options = Options(declared.history_epochs, _HISTORIES_A_STEP, _HISTORY_RATE, declared.reg, patience=1)
    held_out, histories = ({n: a[m] for n, a in arrays.items()} for m in (judges, ~judges))

    def loss(net: nn.Module, part: Mapping[str, Tensor]) -> Tensor:
        return next_loss(pair, part, share)

    key = f"history {key}"
    train(pair, histories, loss, options=options, run=run, key=key, judge=lambda: judged(pair, held_out, loss))


def next_loss(pair: Pair, batch: Mapping[str, Tensor], share: Tensor) -> Tensor:
    """Sampled softmax of each step given the older ones, over a draw of the steps of a batch."""
    assert isinstance(pair.user, SequenceUser)
    states = pair.user.states(batch)[:, 1:]  # entry i knows the steps older than i
    users, steps = torch.nonzero(batch["next"] >= 0, as_tuple=True)
    drawn = torch.randperm(len(users))[:_STEPS_JUDGED]
    users, steps = users[drawn], steps[drawn]
    marked = batch["seq|marks"][users, steps].amax(-1)
    weight = _UNMARKED + (1 - _UNMARKED) * marked
    vectors = pair.user.alone(states[users, steps])
    return pair.loss(vectors, batch["next"][users, steps], batch["user"][users], share, weight)


def learn_impressions(declared: TwoTower, pair: Pair, inputs: Inputs, kept: list[Examples], *, catalogue: Catalogue,
                      run: Run, key: str) -> None:  # fmt: skip
    """Which shown item had a positive outcome."""
    arrays, held_out = ({**query_feed(inputs, e.features), "next": places(e.item, catalogue), "user": e.user,
                         "weight": e.weight, "at": e.at} for e in kept)  # fmt: skip
    known, judged_rows = arrays["next"] >= 0, held_out["next"] >= 0
    arrays, held_out = {n: a[known] for n, a in arrays.items()}, {n: a[judged_rows] for n, a in held_out.items()}
    share = shares(arrays["next"], pair.count)
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg)

    def loss(net: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return pair.loss(pair.user(batch), batch["next"], batch["user"], share, batch["weight"], at=batch["at"])

    train(pair, arrays, loss, options=options, run=run, key=key, judge=lambda: judged(pair, held_out, loss))


def judged(pair: Pair, arrays: Mapping[str, NDArray[Any]], loss: Any) -> float:
    """The loss on held-out rows with the same uniform draws every time, the state of the generator untouched."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    value = ranking.mean_loss(pair, dict(arrays), loss, at_once=512) if len(arrays["next"]) else 0.0
    torch.set_rng_state(state)
    return value


def places(rows: NDArray[np.int64], catalogue: Catalogue) -> NDArray[np.int64]:
    """Where items stand in the catalogue, same shape; -1 for those that do not."""
    table = np.full(int(max(rows.max(initial=-1), catalogue.rows.max(initial=-1))) + 2, -1, np.int64)
    table[catalogue.rows] = np.arange(len(catalogue.rows))
    return table[rows]  # -1 reads the last entry, which stays -1


def shares(places: NDArray[np.int64], count: int) -> Tensor:
    """Share of each item among the positives, float32 [I]."""
    counts = np.bincount(places[places >= 0].ravel(), minlength=count).astype(np.float32)
    return torch.from_numpy(counts / max(counts.sum(), 1))


def write(declared: TwoTower, pair: Pair, inputs: Inputs, items: ItemInputs, *, catalogue: Catalogue, sample: Examples,
          run: Run) -> None:  # fmt: skip
    """Export both towers, encode the catalogue with the exported one, and list the files."""
    pair.eval().requires_grad_(False)
    some = slice(0, 3)
    feeds = [
        query_feed(inputs, sample.features.take(some)), items.feed(catalogue.features.take(some), catalogue.rows[some])
    ]  # fmt: skip
    for net, feed, name in zip((pair.user, pair.item), feeds, (USER, ITEM), strict=True):
        tensors = {k: torch.from_numpy(np.resize(a, (3, *a.shape[1:]))) for k, a in feed.items()}
        export(net, tensors, run.folder / name, axes=dict.fromkeys(tensors, ("N",)))
    facts: dict[str, Any] = {"inputs": inputs.save(run.folder), "item_inputs": items.save(run.folder)}
    session = Session.open(run.folder / ITEM, threads=run.threads)
    write_items(run.folder, catalogue.rows, session.run(items.feed(catalogue.features, catalogue.rows)))
    size = declared.embedding_size + 1
    Artefact.write(run.folder, model=type(declared).__name__, files=FILES, size=size, **facts)
