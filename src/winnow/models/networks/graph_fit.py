"""Trains the graph networks, and writes the vectors and states of everybody with what serves them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.data.graph import Graph
from winnow.features.batch import FeatureBatch
from winnow.models.artefact import Artefact
from winnow.models.base import HeadType, Run, chosen_heads
from winnow.models.examples import Catalogue, Examples, Web
from winnow.models.graph_people import LAYERS, PEOPLE, PERSON, STATES, VECTORS, Sides
from winnow.models.graph_ranker import GraphSage
from winnow.models.graph_sampler import Sampler
from winnow.models.inputs import FILE, Inputs, Numerics
from winnow.models.networks import ranking
from winnow.models.networks.export import export
from winnow.models.networks.graph import GraphNet, Layers, Pair, Person, everybody
from winnow.models.networks.layers import Categories
from winnow.models.networks.loop import Options, declared_key, seeded
from winnow.models.retrieval import ITEM_INPUTS, ItemInputs
from winnow.models.vocabulary import Vocabulary

_CATEGORY = 8
_CHANCE = 77  # salt of the random columns
Arrays = dict[str, NDArray[Any]]


def fit(declared: GraphSage, train: Examples, valid: Examples, run: Run) -> None:
    """Train, export and write a `GraphSage`."""
    heads = chosen_heads(declared.heads, train, run)
    web, sides = train.web or nobody(), Sides.of(train, declared.friends)
    inputs = Inputs.fit(sides.without(train), least=declared.least, history=())
    own = own_inputs(sides, web.people, declared.least)
    arrays, held_out = (_arrays(inputs, part, heads) for part in (train, valid))
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg, declared.patience)
    with seeded(run):
        net = built(declared, inputs, own, web=web, types=tuple(heads.values()), seed=run.seed)
        ranking.fit(net, arrays, held_out, options=options, run=run, key=declared_key(declared, train))
        files = write_people(net, own, web.graph, run=run)
        _export_pair(net, arrays, declared.embedding_size, run)
    facts = inputs.save(run.folder)
    kinds = {"heads": list(heads), "types": list(heads.values())}
    listed = [ranking.GRAPH, FILE, *files[0]]
    Artefact.write(
        run.folder, model="GraphSage", files=listed, **kinds, inputs=facts, sides=sides.to_data(), **files[1]
    )


def nobody() -> Web:
    """A graph without anybody, for rows that nobody ties."""
    none = FeatureBatch(np.empty((0, 0), np.float32), ())
    return Web(Graph.of([], [], size=0), Catalogue(np.empty(0, np.int64), none))


def own_inputs(sides: Sides, people: Catalogue, least: int) -> Inputs:
    """How the columns of people are read; their row numbers are left out."""
    known = sides.columns(people)
    vocabularies = {name: Vocabulary.fit(rows, least=least) for name, rows in known.categorical.items()}
    widths = {name: rows.shape[1] if rows.ndim == 2 else 0 for name, rows in known.categorical.items()}
    return Inputs(Numerics.fit(known), vocabularies, widths)


def built(
    declared: GraphSage, inputs: Inputs, own: Inputs, *, web: Web, types: tuple[HeadType, ...], seed: int
) -> GraphNet:  # fmt: skip
    """The network of a declaration, with first weights."""
    person, layers = encoder(declared, own)
    pair = Pair(
        len(inputs.numerics.names), Categories(inputs.sizes, inputs.widths, _CATEGORY),
        width=_CATEGORY * len(inputs.sizes), vector=declared.embedding_size, types=types, hidden=declared.hidden,
        dropout=declared.dropout,
    )  # fmt: skip
    columns = known_columns(own, web, chance=declared.chance, seed=seed)
    return GraphNet(person, layers, pair, columns=columns, sampler=Sampler(web.graph), drawn=declared.drawn)


def encoder(declared: Any, own: Inputs) -> tuple[Person, Layers]:
    """The parts that make vectors, with first weights."""
    categories = Categories(own.sizes, own.widths, _CATEGORY)
    person = Person(len(own.numerics.names) + declared.chance, categories, declared.state_size)
    return person, Layers(declared.state_size, declared.embedding_size)


def known_columns(own: Inputs, web: Web, *, chance: int, seed: int) -> dict[str, Tensor]:
    """What is known of every row, and of nobody last: its columns, and random numbers by which neighbourhoods differ.

    Source: Sato, Yamada and Kashima, Random features strengthen graph neural networks, SDM 2021.
    """
    size, rows = web.graph.size, web.people.rows
    inside = rows < size
    found = {}
    for name, values in own.feed(web.people.features).items():
        table = np.zeros((size + 1, *values.shape[1:]), values.dtype)
        table[rows[inside]] = values[inside]
        found[name] = table
    drawn = np.random.default_rng([seed, _CHANCE]).standard_normal((size + 1, chance)).astype(np.float32)
    drawn[size] = 0
    found["numeric"] = np.concatenate([found["numeric"], drawn], axis=1)
    return {name: torch.from_numpy(table) for name, table in found.items()}


def _arrays(inputs: Inputs, rows: Examples, heads: Mapping[str, HeadType]) -> Arrays:
    found = ranking.arrays_of(inputs, rows, heads)
    return found | {"one": rows.user[:, None], "two": rows.item[:, None], "moment": rows.at[:, None]}


def write_people(net: GraphNet, own: Inputs, graph: Graph, *, run: Run) -> tuple[list[str], dict[str, Any]]:
    """Vectors and states of everybody, and the two graphs that make those of somebody new; names and facts."""
    net.eval()
    vectors, states = everybody(net, graph)
    np.save(run.folder / VECTORS, vectors)
    np.save(run.folder / STATES, states)
    np.savez(run.folder / PEOPLE, tied=graph.degrees(np.arange(graph.size)) > 0)
    facts = ItemInputs(Vocabulary(np.zeros(1, np.int64)), own).save(run.folder)
    size, chance = net.layers.own.in_features, net.columns["numeric"].shape[1] - len(own.numerics.names)
    known: dict[str, Tensor] = {
        name: values[:1].repeat(2, *[1] * (values.ndim - 1)) for name, values in net.columns.items()
    }
    known["degree"] = torch.tensor([0, 3])
    export(net.person, known, run.folder / PERSON, axes=dict.fromkeys(known, ("N",)))
    near = {"own": torch.randn(2, size), "near": torch.randn(2, 3 * size)}
    export(net.layers, near, run.folder / LAYERS, axes=dict.fromkeys(near, ("N",)))
    shape = {"size": net.layers.out.out_features, "state": size, "chance": chance}
    return [VECTORS, STATES, PEOPLE, PERSON, LAYERS, ITEM_INPUTS], {"item_inputs": facts, "people": shape}


def _export_pair(net: GraphNet, arrays: Arrays, size: int, run: Run) -> None:
    """The network of pairs, checked on three groups of two."""
    reads = {k: np.resize(a, (6, *a.shape[1:])) for k, a in arrays.items() if k == "numeric" or k.startswith("cat|")}
    sample = {k: torch.from_numpy(a.reshape(3, 2, *a.shape[2:]).copy()) for k, a in reads.items()}
    sample |= {side: torch.randn(3, 2, size) for side in ("first", "second")}
    export(net.pair, sample, run.folder / ranking.GRAPH, axes=dict.fromkeys(sample, ("B", "C")))
