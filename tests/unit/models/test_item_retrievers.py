"""Retrievers between items: what they learn from sessions, and that the unseen has a vector at once."""

import threading

import numpy as np
import pytest

import winnow as w
from winnow.core.errors import InputError
from winnow.features.batch import FeatureBatch
from winnow.models.artefact import Artefact
from winnow.models.attributes import Attributes
from winnow.models.base import Run, load_item_encoder, load_query_encoder
from winnow.models.examples import Catalogue
from winnow.models.item_blend import ItemBlend
from winnow.models.item_retrieval import places, ranks
from winnow.models.sessions import cut, nothing
from winnow.models.skipgram import SkipGram

CITIES, STYLES, ITEMS, VISITS = 4, 4, 240, 2_000
table = w.Table("listing", key="id", columns={"city": w.category})
visitor = w.Table("visitor", key="id")
view = w.Events("view", refs={"visitor": visitor, "listing": table})
SESSIONS = w.Sessions(view, by="visitor")
LIKE = Attributes(same={"city": 1.0}, near={"price": 1.0})


class Town:
    """Visitors stay in one city and like one style, which no column tells; a wall of another number says nothing."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.city, self.style = rng.integers(0, CITIES, ITEMS), rng.integers(0, STYLES, ITEMS)
        self.features = FeatureBatch(
            rng.random((ITEMS, 2)).astype(np.float32),
            ("price", "wall"),
            {"city": self.city.astype(np.int64), "area": self.city * 10 + rng.integers(0, 3, ITEMS)},
        )
        of = [[np.flatnonzero((self.city == c) & (self.style == s)) for s in range(STYLES)] for c in range(CITIES)]
        items = np.array([rng.choice(of[rng.integers(CITIES)][rng.integers(STYLES)], 6) for _ in range(VISITS)])
        self.whole = cut(
            np.repeat(np.arange(VISITS), 6), items.ravel(), np.tile(np.arange(6) * 1_000_000, VISITS),
            weights=np.ones(6 * VISITS, np.float32), goal=np.tile(np.arange(6) == 5, VISITS), gap=60_000_000,
            markets=self.city.astype(np.int64),
        )  # fmt: skip
        early = self.whole.people < VISITS * 0.8
        self.train, self.valid = self.whole.take(early), self.whole.take(~early)

    def catalogue(self, rows=None):
        rows = np.arange(ITEMS) if rows is None else rows
        return Catalogue(rows, self.features.take(rows))

    def mean_rank(self, folder):
        asked, wanted, _ = self.valid.questions()
        rows = np.load(folder / "item_rows.npy")
        return ranks(np.load(folder / "item_vectors.npy"), places(rows, asked), places(rows, wanted)).mean()


@pytest.fixture(scope="module")
def town():
    return Town()


def learned(model, town, folder, *, seed=0, rows=None):
    folder.mkdir(parents=True, exist_ok=True)
    model.learn(town.train, town.valid, town.catalogue(rows), Run(folder, seed=seed, threads=1))
    return folder


def quick(**options):
    return SkipGram(SESSIONS, LIKE, **({"epochs": 3, "embedding_size": 16} | options))


def test_sessions_teach_what_no_column_tells(town, tmp_path):
    alike, together = learned(LIKE, town, tmp_path / "a"), learned(quick(), town, tmp_path / "b")
    assert town.mean_rank(together) < 0.4 * town.mean_rank(alike)


def test_negatives_of_the_same_market_tell_apart_what_lies_within_it(town, tmp_path):
    apart = (town.city[:, None] == town.city) & (town.style[:, None] != town.style)
    found = {}
    for count in (0, 6):
        folder = learned(quick(market_negatives=count, prior=0.0), town, tmp_path / str(count))
        vectors = np.load(folder / "item_vectors.npy")
        found[count] = (vectors @ vectors.T)[apart].mean()
    assert found[6] < found[0] - 0.05


def test_negatives_come_from_the_market_of_the_centre_and_by_how_often_items_are_seen():
    from winnow.models.networks.skipgram import Negatives

    markets = np.array([2, -1, 2, 0, 0, 0, -1])
    drawn = Negatives(np.array([0, 16, 0, 0, 0, 0, 81]), markets, np.random.default_rng(0))
    centres = np.repeat(np.arange(7), 400)
    near = drawn.nearby(centres, 3).numpy()
    assert (markets[near] == markets[centres][:, None]).all()
    assert np.unique(near[centres == 3]).tolist() == [3, 4, 5]
    counts = np.bincount(drawn.anywhere(20_000).numpy(), minlength=7)
    np.testing.assert_allclose(counts / 20_000, np.array([1, 8, 1, 1, 1, 1, 27]) / 40, atol=0.02)


MODELS = {
    "fixed": LIKE,
    "skipgram": quick(),
    "learned": Attributes(same={"city": 1, "area": 2}, near={"wall": 1, "price": 1}, sessions=SESSIONS),
    "blend": ItemBlend((LIKE, quick())),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_catalogue_is_what_the_encoder_makes(model, town, tmp_path):
    """And the same seed gives the same bytes; rows in another order, and one alone, the same vectors."""
    folder, again = learned(model, town, tmp_path / "one"), learned(model, town, tmp_path / "two")
    stored, rows = np.load(folder / "item_vectors.npy"), np.load(folder / "item_rows.npy")
    assert np.array_equal(stored, np.load(again / "item_vectors.npy"))
    assert stored.shape[1] == Artefact.open(folder).fact("size")
    encode = load_item_encoder(folder)
    np.testing.assert_allclose(encode(town.features, rows), stored, atol=1e-5)
    some = np.array([17, 3])
    np.testing.assert_allclose(encode(town.features.take(some), some), stored[some], atol=1e-5)
    assert encode(town.features.take(some[:0]), some[:0]).shape == (0, stored.shape[1])


def test_fits_in_two_threads_are_those_of_one(town, tmp_path):
    alone = np.load(learned(quick(), town, tmp_path / "alone") / "item_vectors.npy")
    names = ["left", "right"]
    threads = [threading.Thread(target=learned, args=(quick(), town, tmp_path / name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        assert np.array_equal(np.load(tmp_path / name / "item_vectors.npy"), alone)


def test_what_nobody_has_seen_stands_among_its_like(town, tmp_path):
    late = np.arange(0, ITEMS, 12)
    early = np.setdiff1d(np.arange(ITEMS), late)
    folder = learned(quick(), town, tmp_path / "m", rows=early)
    vectors = load_item_encoder(folder)(town.features.take(late), late)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    nearest = early[np.argmax(vectors @ np.load(folder / "item_vectors.npy").T, axis=1)]
    assert (town.city[nearest] == town.city[late]).mean() > 0.9


def test_learned_weights_leave_out_what_says_nothing(town, tmp_path):
    model = Attributes(same={"city": 1}, near={"wall": 1, "price": 1}, sessions=SESSIONS)
    facts = Artefact.open(learned(model, town, tmp_path / "m"))
    assert facts.fact("same")["city"] > 20 * (facts.fact("near")["wall"] + facts.fact("near")["price"])


def test_a_blend_is_no_worse_than_what_it_is_made_of_where_it_was_chosen(town, tmp_path):
    folder = learned(ItemBlend((LIKE, quick())), town, tmp_path / "m")
    asked, wanted, _ = town.valid.questions()
    drawn = np.sort(np.random.default_rng(0).permutation(len(asked))[:2_000])
    found = {}
    for name in (".", "0-Attributes", "1-SkipGram"):
        vectors = np.load(folder / name / "item_vectors.npy")
        found[name] = (1 / ranks(vectors, asked[drawn], wanted[drawn])).mean()
    assert found["."] >= max(found.values()) - 1e-9


def test_without_sessions_there_is_nothing_to_learn(town, tmp_path):
    with pytest.raises(InputError) as error:
        quick().learn(nothing(), nothing(), town.catalogue(), Run(tmp_path))
    assert error.value.problems[0].code == "no-sessions"
    learned(ItemBlend((LIKE, Attributes(near={"price": 1}))), town, tmp_path / "blend")


def test_a_feature_that_is_not_there_is_told(town, tmp_path):
    for model in (Attributes(same={"town": 1}), Attributes(near={"prise": 1}), Attributes(like={"text": 1})):
        with pytest.raises(InputError) as error:
            learned(model, town, tmp_path / "m")
        assert error.value.problems[0].code == "unknown-feature"


def test_only_items_can_ask(town, tmp_path):
    folder = learned(LIKE, town, tmp_path / "m")
    with pytest.raises(InputError) as error:
        load_query_encoder(folder)
    assert error.value.problems[0].code == "wrong-model"


def test_ranks_count_ties_half_and_leave_out_the_item_itself():
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0.5, 0], [0, 1]], np.float32)
    assert ranks(vectors, np.array([0, 0, 0]), np.array([1, 3, 4])).tolist() == [2, 3, 4]
    open_to = np.array([[True, False, True, True, True]])
    assert ranks(vectors, np.array([0]), np.array([3]), open_to=open_to).tolist() == [2]


def test_places_are_those_of_the_rows():
    assert places(np.array([7, 3, 9]), np.array([3, 9, 4, 7])).tolist() == [1, 2, -1, 0]
    assert places(np.array([], np.int64), np.array([3])).tolist() == [-1]
