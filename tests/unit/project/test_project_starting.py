"""A system of one's own: cut to the data there is, guessed from files, refused with reasons."""

import csv
import random
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from winnow import systems
from winnow.cli.app import app
from winnow.core.errors import Conflict, InputError, NotFound
from winnow.project import Project, shared
from winnow.project.starting import cutting, files
from winnow.project.starting.start import start
from winnow.project.starting.words import done, likeness

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def optional(system):
    """What data may lack: columns, fields, and the tables and events that hold no person, item or impression."""
    needed = {system.labels.user.name, system.labels.item.name, system.labels.of.name}
    tables, events = shared.tables([system]), shared.events([system])
    columns = [f"{t.name}.{c}" for t in tables.values() for c in t.columns]
    fields = [f"{e.name}.{f}" for e in events.values() for f in e.fields]
    return [*columns, *fields, *(n for n in (*tables, *events) if n not in needed)]


def fits(source, lacking):
    """Whether a file without something is a right one, or is refused with a reason."""
    try:
        made, _ = cutting.fitted(source, lacking)
    except InputError as error:
        return error.code == "nothing-to-learn"
    return cutting.of(made).find_problems() == []


@pytest.mark.parametrize("name", systems.names())
def test_a_system_stands_without_any_one_thing_and_without_some(name):
    source = systems.source(name)
    known, rng = optional(cutting.of(source)), random.Random(name)
    trials = [[one] for one in rng.sample(known, 1)]
    trials += [rng.sample(known, rng.randint(2, len(known) - 1))]
    assert [lacking for lacking in trials if not fits(source, lacking)] == []


@pytest.mark.heavy
@pytest.mark.parametrize("name", systems.names())
def test_a_system_stands_without_any_one_thing_and_without_many(name):
    source = systems.source(name)
    known, rng = optional(cutting.of(source)), random.Random(1)
    trials = [[one] for one in known] + [rng.sample(known, rng.randint(2, len(known))) for _ in range(30)]
    assert [lacking for lacking in trials if not fits(source, lacking)] == []


@pytest.mark.parametrize("name", systems.names())
def test_every_system_in_the_box_can_be_started_from(name, tmp_path):
    start("mine", tmp_path / "mine", template=name)
    with Project(tmp_path / "mine") as project:
        assert list(project.systems) == ["mine"]
        assert not re.search(rf"\b{name}\b", project.system_files[0].read_text())
    assert "?" in (tmp_path / "mine" / "mapping.toml").read_text()


def test_what_is_lacking_goes_and_nothing_else():
    source = systems.source("video_recommendation")
    made = cutting.of(cutting.cut(source, ["video.author", "share", "hide"]))
    before = {n for f in cutting.of(source).features for n in f.names}
    after = {n for f in made.features for n in f.names}
    assert before - after == {n for n in before if "video_author" in n or "share" in n}
    assert [type(s).__name__ for s in made.pipeline.slate] == ["Mmr", "Explore"]
    assert [type(f).__name__ for f in made.pipeline.filters] == ["Seen"]
    assert cutting.cut(source, []) == source


def test_a_cut_file_keeps_its_lines_and_comments_and_uses_what_it_imports():
    source = systems.source("news_feed")
    made = cutting.cut(source, ["group", "share", "profile_visit"])
    kept = [line for line in source.splitlines() if line.startswith("# ")]
    assert [line for line in made.splitlines() if line.startswith("# ")] == kept
    assert "joined" not in cutting.run(made)
    assert "\n\n\n\n" not in made
    assert "bond(" in made
    assert "from winnow import days, filters, graph, hours" in made


def test_a_file_without_its_heads_is_refused():
    with pytest.raises(InputError, match="click") as error:
        cutting.fitted(systems.source("video_recommendation"), ["click", "watch", "like"])
    assert error.value.code == "nothing-to-learn"


def test_a_heuristic_whose_feature_is_lost_takes_another():
    made = cutting.of(cutting.cut(systems.source("video_recommendation"), ["click"]))
    assert made.ranking.L0.feature == "video_like_rate_ever"


# Guessing


def written(folder, **tables):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


def things(n=40):
    return [
        {"sku": f"s{i:03}", "headline": f"A thing numbered {i}", "brand": f"brand {i % 5}", "labels": "new;red" if i % 2
         else "old;blue", "minutes": 10 + i, "inStock": i % 3 > 0, "colour": ("red", "blue")[i % 2]} for i in range(n)
    ]  # fmt: skip


def log(n=300, person="customer", item="sku", **more):
    rng = random.Random(3)
    rows = [(f"c{rng.randrange(30)}", f"s{rng.randrange(40):03}", BEGIN + timedelta(minutes=i)) for i in range(n)]
    return [
        {person: p, item: i, "ts": int(at.timestamp()), **{k: v(rng) for k, v in more.items()}} for p, i, at in rows
    ]


def test_columns_are_found_by_name_type_and_shared_ids(tmp_path):
    data = written(tmp_path / "data", products=things(), purchases=log())
    made = start("shop", tmp_path / "shop", data=data)
    product = made.found["product"].columns
    assert product["product_id"] == '"sku"'
    assert product["title"] == '"headline"'
    assert product["author"] == '"brand"'
    assert product["tags"] == '{ column = "labels", split = ";" }'
    assert product["duration_s"] == '{ column = "minutes", scale = 60 }'
    assert product["available"] == '"inStock"'
    assert product["colour"] == '"colour"'  # the template has no such column: it became a feature
    assert made.found["click"].columns == {"user": '"customer"', "product": '"sku"'}
    assert made.found["click"].time == '{ column = "ts", unit = "s" }'
    assert any("called `click`" in line for line in made.unsure)
    project = Project(tmp_path / "shop")
    names = {n for f in project.system("shop").features for n in f.names}
    assert "product_colour" in names
    summary = project.import_data("mapping", data, mapping=tmp_path / "shop" / "mapping.toml")
    assert {n: (r.accepted, r.quarantined) for n, r in summary.receipts.items()} == {
        "product": (40, 0),
        "click": (300, 0),
    }
    project.close()


def test_actions_of_one_log_become_events(tmp_path):
    action = lambda rng: rng.choice(["view", "shown", "liked", "mystery"])  # noqa: E731
    data = written(tmp_path / "data", films=things(), events=log(400, action=action))
    made = start("films", tmp_path / "films", data=data)
    assert made.found["impression"].where == ("action", ("shown",))
    assert made.found["click"].where == ("action", ("view",))
    assert made.found["like"].where == ("action", ("liked",))
    assert any("`mystery`" in line for line in made.unsure)
    system = Project(tmp_path / "films").system("films")
    assert set(system.labels.heads) == {"click", "like"}
    assert system.labels.against is None


def test_parquet_and_personal_columns(tmp_path):
    people = [{"id": f"c{i}", "email": f"c{i}@example.org", "country": "de", "joined": "2025-01-01"} for i in range(30)]
    data = written(tmp_path / "data", customers=people, clicks=log())
    pl.DataFrame(things()).write_parquet(data / "things.parquet")
    made = start("mall", tmp_path / "mall", template="news_feed", data=data)
    assert made.found["customer"].columns["joined_at"] == '{ column = "joined", unit = "iso" }'
    assert "email" not in str(made.found["customer"].columns)
    assert any("personal" in line for line in made.unsure)
    system = Project(tmp_path / "mall").system("mall")
    assert system.labels.user.name == "customer"


def test_words():
    assert done("purchase", ["click", "like"]) == ("like", "click")
    assert done("nonsense", ["click"]) == ()
    assert likeness("book_title", "title", "book") == 4
    assert likeness("createdAt", "uploaded_at") > likeness("colour", "uploaded_at") == 0


def test_a_form_to_fill_in_lists_every_table_event_and_column(tmp_path):
    made = start("feed", tmp_path / "feed", template="news_feed")
    text = (tmp_path / "feed" / "mapping.toml").read_text()
    system = Project(tmp_path / "feed").system("feed")
    for part in (*shared.tables([system]).values(), *shared.events([system]).values()):
        assert f'name = "{part.name}"' in text
        assert all(f"{column} = " in text for column in part.columns)
    assert "required: what names a row" in text
    assert made.found == {}


def test_a_filled_in_form_cuts_the_system(tmp_path):
    start("shop", tmp_path / "shop")
    (tmp_path / "shop" / "mapping.toml").write_text(MAPPING)
    start("shop", tmp_path / "shop", mapping=tmp_path / "shop" / "mapping.toml", again=True)
    system = Project(tmp_path / "shop").system("shop")
    assert set(system.labels.item.columns) == {"title"}
    assert set(system.labels.heads) == {"click"}
    assert (tmp_path / "shop" / "mapping.toml").read_text() == MAPPING


MAPPING = """
[[table]]
name = "video"
file = "v.csv"
columns = { video_id = "id", title = "t" }
[[event]]
name = "impression"
file = "i.csv"
id = ["u", "v", "t"]
columns = { user = "u", video = "v" }
[[event]]
name = "click"
file = "c.csv"
id = ["u", "v", "t"]
columns = { user = "u", video = "v" }
"""


# Mistakes


@pytest.mark.parametrize(
    ("given", "kind", "code"),
    [
        ({"name": "2shops"}, InputError, "bad-name"), ({"name": "class"}, InputError, "bad-name"),
        ({"template": "video_recomendation"}, NotFound, "unknown-system"),
        ({"data": "nowhere"}, NotFound, "no-such-path"),
        ({"data": "."}, NotFound, "no-files"), ({"mapping": "none.toml"}, InputError, "bad-mapping"),
    ],
)  # fmt: skip
def test_mistakes_have_codes_and_leave_nothing_behind(tmp_path, given, kind, code):
    paths = {k: tmp_path / v for k, v in given.items() if k in ("data", "mapping")}
    with pytest.raises(kind) as error:
        start(given.get("name", "shop"), tmp_path / "shop", template=given.get("template", "news_feed"), **paths)
    assert error.value.code == code
    assert error.value.problems[0].fix
    assert not (tmp_path / "shop").exists()


def test_a_name_that_is_taken(tmp_path):
    start("shop", tmp_path / "shop")
    with pytest.raises(Conflict) as error:
        start("shop", tmp_path / "shop")
    assert error.value.code == "name-taken"
    assert start("shop", tmp_path / "shop", again=True).files


def test_files_that_tell_of_nothing_that_people_do_are_refused(tmp_path):
    data = written(tmp_path / "data", products=things())
    with pytest.raises(InputError) as error:
        start("shop", tmp_path / "shop", data=data)
    assert error.value.code == "nothing-to-learn"
    assert not (tmp_path / "shop").exists()


def test_a_column_that_is_missing_is_named_with_its_file(tmp_path):
    data = written(tmp_path / "data", products=things(), clicks=log())
    start("shop", tmp_path / "shop", data=data)
    mapping = tmp_path / "shop" / "mapping.toml"
    mapping.write_text(mapping.read_text().replace('"headline"', '"heading"'))
    with Project(tmp_path / "shop") as project, pytest.raises(InputError, match="heading") as error:
        project.import_data("mapping", data, mapping=mapping)
    assert error.value.problems[0].where == "products.csv"
    assert "headline" in error.value.problems[0].fix


def test_separators_and_units():
    column = lambda *values: files.Column("c", pl.Series("c", values))  # noqa: E731
    assert column("a|b", "c", "d|e").separator == "|"
    assert column("one, two and a long sentence of words", "another, longer one that says a lot").separator is None
    assert column(1_700_000_000, 1_700_000_001).unit == "s"
    assert column(1_700_000_000_000).unit == "ms"
    assert column("2026-01-01T10:00:00Z").unit == "iso"
    assert column("2026 is a year").unit is None


def test_the_command_says_what_it_guessed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(Path("data"), products=things(), clicks=log())
    with suppress(SystemExit):
        app(["new", "shop", "--data", "data"])
    told = " ".join(capsys.readouterr().out.split())
    assert "product ← products.csv: product_id ← sku" in told
    assert "winnow import mapping data --mapping shop/mapping.toml --project shop" in told
