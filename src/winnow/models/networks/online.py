"""A network that goes on learning: fitted once, then fed with new rows (and old ones, against forgetting) for as long
as the stream runs.

Every id of a categorical feature has an embedding row of its own (`idtable`); rows are added as ids come, and begin
anew when an id that had grown cold loses its place.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from winnow.core.errors import InputError, Problem
from winnow.core.time import to_us
from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import Artefact
from winnow.models.base import HeadType, Run, chosen_heads, guarded
from winnow.models.delayed import StreamDCN, prepared
from winnow.models.examples import Examples
from winnow.models.idtable import IdTable
from winnow.models.inputs import FILE, Inputs, Vocabulary
from winnow.models.networks import ranking
from winnow.models.networks.dcn import DCNNet
from winnow.models.networks.delayed import Answered, arrays_of, loss_of
from winnow.models.networks.export import export
from winnow.models.networks.layers import Categories
from winnow.models.networks.loop import Loss, Options, cut, declared_key, seeded, train
from winnow.models.networks.optimiser import Adam

WEIGHTS, IDS = "weights.safetensors", "ids"
_START = 0.02  # spread of new embeddings
_AT_ONCE = 4_096


def fit(declared: StreamDCN, train_rows: Examples, valid: Examples, run: Run) -> None:
    """Train, export and write a network from which `Learner` can go on."""
    heads = chosen_heads(declared.heads, train_rows, run)
    if found := list(declared.problems()):
        raise InputError(*found)
    rows, held_out = (prepared(part, declared.delay) for part in (train_rows, valid))
    ids = {name: IdTable(declared.least) for name in rows.features.categorical}
    note(ids, rows)
    inputs = with_ids(Inputs.fit(rows, history=()), ids)
    arrays, judged = (arrays_of(inputs, part, heads, declared.delay) for part in (rows, held_out))
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg)
    with seeded(run):
        net, types = build(declared, inputs, tuple(heads.values())), tuple(heads.values())
        begin(net, arrays["labels"], types)
        loss = loss_of(declared.delay, tuple(heads), types)
        judge: Callable[[], float] = lambda: ranking.mean_loss(net, judged, loss)  # noqa: E731
        train(net, arrays, loss, options=options, run=run, key=declared_key(declared, rows), judge=judge)
        Learner(declared, heads, inputs, ids, net, run.seed).write(run.folder)


def build(declared: StreamDCN, inputs: Inputs, types: tuple[HeadType, ...]) -> DCNNet:
    """The network with fresh weights; `survival` has one output more."""
    late = declared.delay is not None and declared.delay.method == "survival"
    rate: tuple[HeadType, ...] = ("regression",) if late else ()
    return DCNNet(
        len(inputs.numerics.names), Categories(inputs.sizes, inputs.widths, declared.embedding_size),
        width=declared.embedding_size * len(inputs.sizes), types=types + rate, crosses=declared.crosses,
        rank=declared.rank, hidden=declared.hidden, dropout=(declared.input_dropout, declared.dropout),
        experts=declared.experts,
    )  # fmt: skip


def begin(net: DCNNet, labels: NDArray[np.float32], types: tuple[HeadType, ...]) -> None:
    """Sets the biases of the 0-and-1 heads to their base rates: rare outcomes would take many steps to get there."""
    with torch.no_grad():
        for place, kind in enumerate(types):
            known = labels[:, place][~np.isnan(labels[:, place])]
            if kind == "binary" and len(known):
                net.out.bias[place] = float(np.log((known.sum() + 0.5) / (len(known) - known.sum() + 0.5)))


def note(ids: Mapping[str, IdTable], rows: Examples) -> dict[str, Ints]:
    """Takes note of the ids of rows; feature → slots with a new owner."""
    new = {}
    for name, table in ids.items():
        column = rows.features.categorical[name]
        at = rows.at if column.ndim == 1 else np.repeat(rows.at[:, None], column.shape[1], axis=1)
        new[name] = table.see(column, at)
    return new


def with_ids(inputs: Inputs, ids: Mapping[str, IdTable]) -> Inputs:
    """The inputs with the vocabularies of the tables as they are now; features in the order of the files."""
    widths = {name: inputs.widths[name] for name in sorted(inputs.widths)}
    return replace(inputs, vocabularies={name: vocabulary(table) for name, table in ids.items()}, widths=widths)


def vocabulary(ids: IdTable) -> Vocabulary:
    """Slots by domain row: what serving looks up by one index."""
    table = np.zeros(int(ids.keys[-1]) + 2 if len(ids.keys) else 1, np.int64)
    table[ids.keys + 1] = ids.slots
    return Vocabulary(table)


@dataclass(eq=False)
class Learner:
    """A fitted network that takes new rows.

    Args:
        declared: how it was fitted.
        heads: head → type.
        inputs: how it reads a batch.
        ids: feature → ids with their embedding rows.
        net: the network.
        seed: of new embeddings and of the order of rows.
    """

    declared: StreamDCN
    heads: dict[str, HeadType]
    inputs: Inputs
    ids: dict[str, IdTable]
    net: DCNNet
    seed: int = 0

    def __post_init__(self) -> None:
        self.optimiser = Adam(self.net, reg=0.0)  # rows that nobody touches are not to shrink
        self.random = np.random.default_rng([self.seed, 5])
        self.loss: Loss = loss_of(self.declared.delay, tuple(self.heads), tuple(self.heads.values()))

    @classmethod
    def open(cls, folder: Path, declared: StreamDCN, *, seed: int = 0) -> Self:
        """Goes on from a fitted model's files.

        Args:
            folder: written by `StreamDCN.fit` or `Learner.write`.
            declared: the declaration that it was fitted by.
            seed: see the class.

        Raises:
            InputError: `model-corrupt`; `not-online` for a model that cannot go on.
        """
        artefact = Artefact.open(folder)
        if WEIGHTS not in artefact.meta["files"]:
            what = f"{folder.name} is a {artefact.fact('model')}, which keeps no weights to go on from"
            raise InputError(Problem("not-online", what, str(folder), fix="declare the model as w.StreamDCN"))
        return guarded(folder, lambda: cls._of(artefact, declared, seed))

    @classmethod
    def _of(cls, artefact: Artefact, declared: StreamDCN, seed: int) -> Self:
        heads = dict(zip(artefact.fact("heads"), artefact.fact("types"), strict=True))
        inputs = Inputs.open(artefact)
        ids = {name: IdTable.open(artefact.folder / IDS / name) for name in inputs.widths}
        net, weights = build(declared, with_ids(inputs, ids), tuple(heads.values())), load_file(artefact.path(WEIGHTS))
        for place, table in enumerate(tables(net)):
            table.weight = nn.Parameter(torch.empty_like(weights[f"categories.tables.{place}.weight"]))
        net.load_state_dict(weights)
        return cls(declared, heads, inputs, ids, net.eval(), seed)

    def learn(self, rows: Examples, replay: Examples | None = None, *, passes: int = 1, batch: int = 256) -> float:
        """Takes in new rows, mixed with old ones.

        Args:
            rows: new ones, in time order, with what a declared delay needs. By `weighted` or `calibrated` a click comes
                with label 0, and once more with 1 when its conversion is known.
            replay: old ones, seen before; None for none. Each pass goes over both, shuffled together.
            passes: how often.
            batch: rows a step.

        Returns:
            the mean loss of the rows on the way.
        """
        if not len(rows):
            return 0.0
        self._admit(rows)
        delay = self.declared.delay
        waits = delay if delay and delay.method == "naive" else None  # others take rows as they come
        parts = [prepared(part, waits) for part in (rows, replay) if part is not None and len(part)]
        many = [arrays_of(self.inputs, part, self.heads, delay) for part in parts]
        arrays = {name: np.concatenate([part[name] for part in many]) for name in many[0]}
        total, size = 0.0, len(arrays["weight"])
        self.net.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.random.integers(2**31)))
            for _ in range(passes):
                order = self.random.permutation(size)
                for start in range(0, size, batch):
                    chosen = np.sort(order[start : start + batch])
                    total += self._step(arrays, chosen) * len(chosen)
        self.net.eval()
        return total / (size * passes)

    def _step(self, arrays: Mapping[str, NDArray[Any]], rows: Ints) -> float:
        self.optimiser.zero_grad()
        loss = self.loss(self.net, cut(arrays, rows))
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step(lr=self.declared.learning_rate * self.declared.step)
        return float(loss.detach())

    def _admit(self, rows: Examples) -> None:
        """Gives new ids a fresh row; cold ones have lost theirs by then."""
        for table in self.ids.values():
            table.expire(int(rows.at.max()) - to_us(self.declared.expire))
        new = note(self.ids, rows)
        for place, name in enumerate(self.net.categories.names):
            if len(new[name]):
                self._renew(place, new[name], self.ids[name].size)
        self.inputs = with_ids(self.inputs, self.ids)

    def _renew(self, place: int, slots: Ints, size: int) -> None:
        """Lets the embeddings of some slots begin anew, in a table of at least `size` rows."""
        table = tables(self.net)[place]
        state = self.optimiser.state.pop(table.weight, {})
        if size > len(table.weight):
            room = max(size, len(table.weight) * 5 // 4)
            state = {k: _grown(v, room) if v.ndim else v for k, v in state.items()}
            self._replace(table, nn.Parameter(_grown(table.weight.detach(), room)))
        fresh = self.random.normal(0, _START, (len(slots), table.embedding_dim)).astype(np.float32)
        chosen = torch.from_numpy(slots)
        with torch.no_grad():
            table.weight[chosen] = torch.from_numpy(fresh)
            for value in (v for v in state.values() if v.ndim):
                value[chosen] = 0
        if state:
            self.optimiser.state[table.weight] = state

    def _replace(self, table: nn.Embedding, weight: nn.Parameter) -> None:
        known = self.optimiser.param_groups[0]["params"]
        known[[p is table.weight for p in known].index(True)] = weight
        table.weight, table.num_embeddings = weight, len(weight)

    def score(self, batch: FeatureBatch) -> Floats:
        """Predictions as they are now, float32 [N, H]."""
        served, parts = Answered(self.net, self.heads, self.declared.delay), []
        with torch.no_grad():
            for start in range(0, len(batch), _AT_ONCE):
                feeds = self.inputs.shaped(self.inputs.feed(batch.take(slice(start, start + _AT_ONCE))), each=True)
                parts.append(served(cut(feeds, slice(None))).flatten(0, -2).numpy())
        return np.concatenate(parts) if parts else np.zeros((0, len(self.heads)), np.float32)

    def copied(self) -> "Learner":
        """The learner as it stands, apart from what it learns next."""
        net = copy.deepcopy(self.net)
        return Learner(self.declared, self.heads, self.inputs, copy.deepcopy(self.ids), net, self.seed)

    def write(self, folder: Path) -> Artefact:
        """Export what serves, with the weights and the ids from which learning goes on."""
        names, widths = self.inputs.numerics.names, self.inputs.widths
        batch: dict[str, Tensor] = {"numeric": torch.zeros(3, 2, len(names)).normal_()}
        for name, width in widths.items():
            shape = (3, 2, width) if width else (3, 2)
            batch[f"cat|{name}"] = torch.from_numpy(np.arange(np.prod(shape)).reshape(shape) % self.ids[name].size)
        served = Answered(self.net.eval(), self.heads, self.declared.delay)
        export(served, batch, folder / ranking.GRAPH, axes=dict.fromkeys(batch, ("B", "C")))
        save_file({k: v.detach().clone().contiguous() for k, v in self.net.state_dict().items()}, folder / WEIGHTS)
        for name, table in self.ids.items():
            table.save(folder / IDS / name)
        facts = self.inputs.save(folder)
        kept = sorted(p.relative_to(folder).as_posix() for p in (folder / IDS).rglob("*.npy"))
        files = [ranking.GRAPH, FILE, WEIGHTS, *kept]
        model, heads, types = type(self.declared).__name__, list(self.heads), list(self.heads.values())
        return Artefact.write(folder, model=model, files=files, heads=heads, types=types, inputs=facts)


def tables(net: DCNNet) -> list[nn.Embedding]:
    """The embedding tables, in the order of the categorical features."""
    return [table for table in net.categories.tables if isinstance(table, nn.Embedding)]


def _grown(values: Tensor, rows: int) -> Tensor:
    return torch.cat([values, values.new_zeros(rows - len(values), *values.shape[1:])])
