"""People you may know from log to list: what training is worth in a world whose truth is known, and stored lists."""

import numpy as np
import pytest
from acquaint_fixtures import NAME, SIZE, People, a_person, names, tie
from staged import opened

from winnow.cli.precompute import active
from winnow.core.time import MICROS, days, now_us, to_us
from winnow.project import Project
from winnow.serving import stored_file
from winnow.serving.stored import ages, place, precompute, stored_sources
from winnow.simulation.acquaint_history import Past, acquaint_tables, best
from winnow.simulation.acquaint_world import AcquaintSize, AcquaintWorld
from winnow.simulation.visiting import padded
from winnow.training.dataset import labelled

END = 1_760_000_000 * MICROS


def figure(records, rung, metric, head="accept"):
    found = [r for r in records if (r["rung"], r["head"], r["metric"], r["slice"]) == (rung, head, metric, "all")]
    assert len(found) == 1
    return found[0]["value"]


def test_a_request_that_nobody_answers_is_no_refusal(people_template):
    with Project(people_template) as project:
        labels = labelled(project.system(NAME), project.history, now_us()).to_dict()
    labels = {name: labels[name].to_numpy() for name in ("accept", "request", "decline")}
    pending = np.isnan(labels["accept"])
    assert 0 < pending.sum() < (labels["request"] == 1).sum()
    assert (labels["request"][pending] == 1).all()
    assert (labels["accept"][labels["decline"] == 1] == 0).all()


def test_training_on_pairs_beats_counting_friends(people_outcome):
    assert figure(people_outcome.records, "L2", "auc") > figure(people_outcome.records, "L0", "auc") + 0.03


@pytest.fixture(scope="module")
def world():
    """A world, and its ties when its log ends."""
    world = AcquaintWorld.make(SIZE, until=END, seed=5)
    past = Past(world)
    counts = {}
    for name, frame in past.events():
        counts[name] = counts.get(name, 0) + len(frame)
    return world, past.ties, counts


def test_two_worlds_of_one_seed_are_equal(world):
    again = Past(AcquaintWorld.make(SIZE, until=END, seed=5))
    assert sum(len(f) for _, f in again.events()) == sum(world[2].values())
    assert (again.ties.friends == world[1].friends).all()


def test_the_past_shows_nobody_whom_it_may_not(world):
    world, _, _ = world
    past, shown, apart = Past(world), [], set()
    for name, frame in past.events():
        pairs = list(zip(frame["person"], frame["candidate"], frame["at"], strict=True))
        if name == "impression":
            shown += pairs
        elif name in ("block", "connect"):
            apart |= {(a, b, at) for a, b, at in pairs} | {(b, a, at) for a, b, at in pairs}
    since = {}
    for a, b, at in apart:
        since[a, b] = min(at, since.get((a, b), at))
    assert all(at < since.get((a, b), at + 1) + to_us(days(1)) for a, b, at in shown)


def test_the_network_grows_by_closure_and_some_requests_are_refused_or_never_answered(world):
    world, ties, counts = world
    founded = len(world.founded[0])
    assert counts["connect"] > 1.1 * founded
    assert counts["decline"] > 0
    assert counts["request"] > counts["connect"] - founded + counts["decline"]
    mutual = ties.mutual
    assert mutual[ties.friends].mean() > 3 * mutual[~ties.friends].mean()


def lists_of(people, world, everybody, size=10):
    shown = [people.ids.rows("person", people.shown(world.persons.ids[p], size=size)) for p in everybody]
    rows = {int(r): world.rows[i] for i, r in zip(
        world.persons.ids, people.ids.rows("person", world.persons.ids).tolist(), strict=True)}  # fmt: skip
    return padded([np.array([rows[int(r)] for r in some], np.int64) for some in shown])


def test_lists_bring_more_accepted_connections_than_mutual_friends_or_popularity(people_folder):
    with opened(People, people_folder) as people:
        world = AcquaintWorld.read(people_folder / "world.json")
        past = Past(world)
        for _ in past.events():
            pass
        ties, everybody = past.ties, np.arange(0, len(world.persons), 2)
        allowed = (ties.open() & ~world.persons.hidden)[everybody]
        served = world.accepted(everybody, lists_of(people, world, everybody), ties)
        noise = world.rng(9).random(allowed.shape)
        known = ties.friends.sum(axis=1)
        by = {"mutual": ties.mutual[everybody] + 0.1 * noise, "popular": known + noise, "chance": noise}
        worth = {name: world.accepted(everybody, best(score, allowed, 10), ties) for name, score in by.items()}
        assert served.mean() > 1.5 * max(w.mean() for w in worth.values())
        few = known[everybody] <= np.quantile(known, 0.25)  # those with few ties are reached as well
        assert served[few].mean() > worth["mutual"][few].mean()


# Lists that were worked out beforehand


def test_lists_go_on_where_they_were_cut_off(tmp_path):
    asked = []

    def one(person):
        if len(asked) == 1_500 and not (tmp_path / "done").exists():
            raise KeyboardInterrupt
        asked.append(person)
        return np.array([person + 1, person + 2]), np.array([2.0, 1.0], np.float32)

    def fill():
        return stored_file.fill(
            tmp_path / "lists", np.arange(2_500), one, keep=3, now=lambda: 7, told=lambda n, of: None
        )

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert not (tmp_path / "lists").exists()
    (tmp_path / "done").touch()
    lists = fill()
    assert len(asked) == 1_500 + 1_500  # the first thousand was kept
    rows, scores, made = lists.of(2_499)
    assert (rows.tolist(), scores.tolist(), made) == ([2500, 2501], [2.0, 1.0], 7)
    assert lists.of(2_500) is None


def test_stored_lists_serve_what_the_source_would_and_policy_sees_the_present(people_folder):
    with opened(People, people_folder) as people:
        (source,) = stored_sources(people.desk.kit)
        rows = active(people.project, NAME, days=3_000)
        who = people.ids.ids("person", rows)
        fresh = {p: people.proposed("Walk", p) for p in who[:10]}
        precompute(people.desk.kit, source, rows, told=lambda n, of: None)
        assert len(source.lists(people.desk.kit)) == len(rows)
        stored = {p: people.proposed("Walk", p) for p in who[:10]}
        assert all([x for x in fresh[p] if x in stored[p]] == stored[p] for p in stored)
        # Of those whom all friends in common hide, a walk may know by a longer way; a list of yesterday cannot tell.
        assert sum(map(len, stored.values())) > 0.8 * sum(map(len, fresh.values()))
        p = next(p for p in who[:10] if len(stored[p]) > 3)
        first, second = stored[p][:2]
        people.post(tie("block", first, p), person=[a_person(second, private_ties=True)])
        assert first in people.proposed("Walk", p)  # it is a list of yesterday,
        assert first not in people.shown(p, size=300)  # and what is shown is of today
        assert second not in people.proposed("Walk", p)  # found by ties that are hidden now
    with opened(People, people_folder) as again:
        assert first not in again.shown(p, size=300)


def test_a_list_that_is_too_old_is_worked_out_again(people_folder):
    with opened(People, people_folder) as people:
        kit, (source,) = people.desk.kit, stored_sources(people.desk.kit)
        rows = active(people.project, NAME, days=3_000)
        precompute(kit, source, rows, told=lambda n, of: None)
        person = people.ids.ids("person", rows[:1])[0]
        between, other = names(2)
        people.post(tie("connect", person, between), tie("connect", between, other),
                    person=[a_person(between), a_person(other)])  # fmt: skip
        assert other not in people.proposed("Walk", person)
        made = np.load(place(kit, source) / "made.npy")
        np.save(place(kit, source) / "made.npy", made - to_us(days(8)))
        place(kit, source).touch()
        assert other in people.proposed("Walk", person)


def test_tables_of_the_world_fit_the_system(world):
    ((name, frame),) = acquaint_tables(world[0])
    assert name == "person"
    assert len(frame) == AcquaintSize(people=SIZE.people).people


def test_the_age_of_stored_lists_is_told(people_folder):
    with opened(People, people_folder) as people:
        kit, (source,) = people.desk.kit, stored_sources(people.desk.kit)
        assert ages(kit, now_us()) == {}
        precompute(kit, source, active(people.project, NAME, days=3_000), told=lambda n, of: None)
        assert ages(kit, kit.live.watermark + to_us(days(2))) == {"Walk": 2 * 86_400.0}
