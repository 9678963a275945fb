"""Importers of click logs: files made here, and the published ones where they are at hand."""

import gzip
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from winnow.core.errors import InputError, NotFound
from winnow.core.time import parse_time
from winnow.data.importers import BY_NAME, Avazu, Criteo, Frappe, avazu, codes, criteo, frappe, load
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table, category, number

DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
HOUR = 3_600_000_000

user, ad, app = Table("user", key="user_id"), Table("ad", key="ad_id"), Table("app", key="app_id", columns={
    "category": category, "downloads": category, "price": category,
})  # fmt: skip


def intake(tmp_path, thing, **fields):
    refs = {"user": user, thing.name: thing}
    events = {"impression": Events("impression", refs=refs, fields=fields), "click": Events("click", refs=refs)}
    return Intake(SqliteLog(tmp_path / "truth.db"), {"user": user, thing.name: thing}, events)


def avazu_line(number, *, click="1", device="d1", hour="14102103", ad="15706"):
    place = [f"p{n}" for n in range(9)]
    return ",".join(
        [number, *([click] if click else []), hour, *place[:8], device, "ip", "model", "1", "0", ad, *"2345678"]
    )


@pytest.fixture
def avazu_folder(tmp_path):
    folder = tmp_path / "avazu"
    folder.mkdir()
    first = [",".join(avazu.COLUMNS), avazu_line("10000"), avazu_line("20000", click="0", device=avazu.UNKNOWN_DEVICE)]
    (folder / "train.csv").write_text("\n".join(first) + "\n")
    (folder / "test.csv").write_text(avazu_line("18446744073709551615", click="", hour="14103023") + "\n")
    return folder


def test_avazu_with_and_without_names_and_clicks(avazu_folder):
    train, test = avazu.read(avazu_folder)
    assert train["id"].to_list() == ["10000", "20000"]
    assert train["click"].to_list() == ["1", "0"]
    assert test["click"].to_list() == [None]
    assert train.select(avazu.person()).to_series().to_list() == ["d1", "ip-model"]
    began = parse_time("2014-10-21T03:00:00Z")
    assert train["at"].to_list() == [began + 10_000, began + 20_000]
    assert 0 <= test["at"][0] - parse_time("2014-10-30T23:00:00Z") < HOUR


def test_avazu_lands_in_a_log(avazu_folder, tmp_path):
    taken = intake(tmp_path, ad, banner_pos=category, c21=category)
    summary = load(Avazu(), avazu_folder, taken, progress=False)
    assert {r["name"]: (r["accepted"], r["quarantined"]) for r in summary.rows()} == {
        "impression": (3, 0),
        "click": (1, 0),
    }
    assert "impression.c20" in summary.left_out
    assert load(Avazu(), avazu_folder, taken, progress=False).total.accepted == 0


def test_a_packed_file_reads_the_same(avazu_folder, tmp_path):
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "train.gz").write_bytes(gzip.compress((avazu_folder / "train.csv").read_bytes()))
    assert next(avazu.read(packed)).equals(next(avazu.read(avazu_folder)))


def criteo_line(click, numbers, first="68fd1e64"):
    return "\t".join([*([click] if click else []), *numbers, first, *(f"{n:08x}" for n in range(25))])


def test_criteo_with_missing_numbers_and_without_clicks(tmp_path):
    numbers = ["1", "-1", "", *"0123456789"]
    (tmp_path / "train.txt").write_text(criteo_line("1", numbers) + "\n" + criteo_line("0", numbers, first="") + "\n")
    (tmp_path / "test.txt").write_text(criteo_line("", numbers) + "\n")
    train, test = criteo.read(tmp_path)
    assert train["i2"].to_list() == [-1.0, -1.0]
    assert train["i3"].to_list() == [None, None]
    assert train["c1"].to_list() == ["68fd1e64", None]
    assert train["c3"].to_list() == ["00000001", "00000001"]  # leading zeros stay: it is a code
    assert (train["click"].to_list(), test["click"].to_list()) == (["1", "0"], [None])
    assert test["row"].to_list() == [2]
    taken = intake(tmp_path, ad, i1=number, i3=number, c1=category)
    summary = load(Criteo(), tmp_path, taken, progress=False)
    assert {r["name"]: (r["accepted"], r["quarantined"]) for r in summary.rows()} == {
        "impression": (3, 0),
        "click": (1, 0),
    }


@pytest.mark.parametrize("name", ["avazu", "criteo"])
def test_other_files_are_refused(name, tmp_path):
    with pytest.raises(NotFound) as error:
        list(BY_NAME[name]().events(tmp_path))
    assert error.value.code == "missing-file"
    (tmp_path / "train.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(InputError, match=r"train\.csv") as error:
        list(BY_NAME[name]().events(tmp_path))
    assert error.value.code == "wrong-columns"


@pytest.mark.data
@pytest.mark.parametrize(("name", "rows", "clicks"), [("avazu", 8999, 1563), ("criteo", 8000, 1728)])
def test_the_published_samples(name, rows, clicks, tmp_path):
    folder = DATA / "ads_mini" / name
    if not folder.exists():
        pytest.skip("ads_mini is not here")
    taken = intake(tmp_path, ad)
    summary = load(BY_NAME[name](), folder, taken, progress=False)
    counts = {r["name"]: (r["accepted"], r["quarantined"]) for r in summary.rows()}
    assert counts == {"impression": (rows, 0), "click": (clicks, 0)}


def test_hashing_tells_columns_apart_and_does_not_depend_on_the_rows():
    frame = pl.DataFrame({"a": ["x", "y", None, "x"], "b": ["x", "y", "z", ""]})
    found = codes.hashed(frame, ("a", "b"), bits=40)
    assert (found.shape, found.dtype) == ((4, 2), np.int64)
    assert found[0, 0] == found[3, 0] != found[0, 1]
    assert found[2, 0] == -1
    assert found[3, 1] != -1  # empty text is text
    assert np.array_equal(codes.hashed(frame.reverse(), ("a", "b"), bits=40), found[::-1])
    assert len(np.unique(found)) == 7
    assert found[0].tolist() == [209590390644, 540229563173]  # of every machine
    few = codes.hashed(pl.DataFrame({"a": [str(i) for i in range(4000)]}), ("a",), bits=3)
    assert np.bincount(few[:, 0]).min() > 400
    assert len(np.bincount(few[:, 0])) == 8


USES = "user,item,cnt,daytime,weekday,isweekend,homework,weather,country,city\n"


@pytest.fixture
def frappe_folder(tmp_path):
    """Forty apps; person u used the first thirty of them in one context, and others used some."""
    folder = tmp_path / "frappe"
    folder.mkdir()
    rows = [f"7,{i},0.5,1,10,14,17,25,97,100" for i in range(30)] + [f"{i},3,0,2,10,14,17,25,97,100" for i in range(6)]
    (folder / "train.csv").write_text(USES + "\n".join(rows[:30]) + "\n")
    (folder / "validation.csv").write_text(USES + "\n".join(rows[25:30]) + "\n")
    (folder / "test.csv").write_text(USES + "\n".join(rows[30:]) + "\n")
    (folder / "meta_app.csv").write_text(
        "item,category,downloads,language,price,rating\n" + "".join(f"{i},1,2,3,4,5\n" for i in range(40))
    )
    return folder


def test_frappe_draws_apps_that_were_not_used_there(frappe_folder):
    train = frappe.read(frappe_folder, "train")
    assert (len(train), train["click"].sum()) == (75, 25)  # the five rows of the validation file are not learned
    drawn = train.filter(pl.col("click") == 0)["item"]
    assert drawn.min() >= 30
    assert drawn.n_unique() > 5
    assert train.equals(frappe.read(frappe_folder, "train"))
    assert not train.equals(frappe.read(frappe_folder, "train", seed=1))
    assert len(frappe.read(frappe_folder, "test", negatives=0)) == 6
    assert "cnt" not in train.columns


def test_frappe_lands_in_a_log(frappe_folder, tmp_path):
    taken = intake(tmp_path, app, daytime=category, city=category)
    summary = load(Frappe(), frappe_folder, taken, progress=False)
    counts = {r["name"]: (r["accepted"], r["quarantined"]) for r in summary.rows()}
    assert counts == {"app": (40, 0), "impression": (108, 0), "click": (36, 0)}


@pytest.mark.data
def test_the_published_frappe():
    if not (DATA / "frappe").exists():
        pytest.skip("frappe is not here")
    train = frappe.read(DATA / "frappe", "train")
    assert (len(train), train["click"].sum()) == (198_903, 66_301)
