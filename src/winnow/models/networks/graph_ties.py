"""Trains vectors on the ties of a graph themselves."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from winnow.core.errors import InputError, Problem
from winnow.models.artefact import Artefact
from winnow.models.base import Run, chosen_heads
from winnow.models.examples import Catalogue, Examples, Web
from winnow.models.graph_people import Sides
from winnow.models.graph_sampler import Sampler
from winnow.models.graph_vectors import GraphVectors
from winnow.models.networks import ranking
from winnow.models.networks.graph import GraphNet
from winnow.models.networks.graph_fit import Arrays, encoder, known_columns, own_inputs, write_people
from winnow.models.networks.loop import Options, declared_key, seeded, train
from winnow.models.retrieval import ROWS, VECTORS, write_items

_EVER = int(np.iinfo(np.int64).max)
_JUDGES = 20  # one tie in so many judges
_FAR = -1e9


def fit(declared: GraphVectors, rows: Examples, catalogue: Catalogue, run: Run) -> None:
    """Train, export and write `GraphVectors`."""
    chosen_heads((), rows, run)
    web = rows.web
    if web is None or not web.graph.edges:
        what, why = "nobody is tied to anybody", "vectors are learned from ties"
        raise InputError(Problem("no-ties", what, "", why, "give the model a `bond`, and collect ties first"))
    sides = _sides(rows, catalogue, declared.friends)
    own = own_inputs(sides, web.people, declared.least)
    arrays, held_out = _ties(web, declared.ties, run.seed)
    degrees = web.graph.degrees(np.arange(web.graph.size))
    share = torch.from_numpy(np.log(np.maximum(degrees, 1) / degrees.sum()).astype(np.float32)) * declared.log_q
    loss = partial(tie_loss, web=web, share=share)
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg)
    with seeded(run):
        person, layers = encoder(declared, own)
        columns = known_columns(own, web, chance=declared.chance, seed=run.seed)
        net = GraphNet(person, layers, nn.Identity(), columns=columns, sampler=Sampler(web.graph), drawn=declared.drawn)
        judge = partial(ranking.mean_loss, net, held_out, loss, at_once=declared.batch_size)
        train(net, arrays, loss, options=options, run=run, key=declared_key(declared, rows), judge=judge)
        files, facts = write_people(net, own, web.graph, run=run)
    Artefact.write(run.folder, model="GraphVectors", files=files, sides=sides.to_data(), **facts)
    told = catalogue.features.categorical | {sides.ids[1]: catalogue.rows}
    encode = GraphVectors.item_encoder(Artefact.open(run.folder), run.threads)
    write_items(run.folder, catalogue.rows, encode(replace(catalogue.features, categorical=told), catalogue.rows))
    Artefact.write(run.folder, model="GraphVectors", files=[*files, VECTORS, ROWS], sides=sides.to_data(), **facts)


def _sides(rows: Examples, catalogue: Catalogue, friends: tuple[str, ...]) -> Sides:
    """The rows of items are told by the catalogue: the features of who asks do not tell them."""
    asks = Sides.of(rows, friends)
    same = (n for n, v in catalogue.features.categorical.items() if np.array_equal(v, catalogue.rows))
    return Sides((asks.ids[0], next(same, "item")), asks.friends)


def _ties(web: Web, most: int, seed: int) -> tuple[Arrays, Arrays]:
    """Ties to learn from, each from one of its ends, and those that judge."""
    low, high, _ = web.graph.pairs()
    rng = np.random.default_rng([seed, 3])
    chosen = rng.permutation(len(low))[:most]
    turned = rng.random(len(chosen)) < 0.5
    one, two = (np.where(turned, a[chosen], b[chosen]).astype(np.int64) for a, b in ((low, high), (high, low)))
    judges = np.arange(len(chosen)) % _JUDGES == 0
    return {"one": one[~judges], "two": two[~judges]}, {"one": one[judges], "two": two[judges]}


def tie_loss(net: nn.Module, batch: Mapping[str, Tensor], *, web: Web, share: Tensor) -> Tensor:
    """Softmax of the other end of each tie over the other ends of the batch."""
    one, two = batch["one"].numpy(), batch["two"].numpy()
    ever = np.full(2 * len(one), _EVER)
    mine, theirs = net.vectors(np.append(one, two), np.append(two, one), ever).chunk(2)  # type: ignore[operator]
    logits = mine @ theirs.T - share[batch["two"]]
    friends = web.graph.tied(one[:, None], two[None]) | (one[:, None] == two[None]) | (two[:, None] == two[None])
    np.fill_diagonal(friends, False)
    scores = logits.masked_fill(torch.from_numpy(friends), _FAR)
    return nn.functional.cross_entropy(scores, torch.arange(len(one)))
