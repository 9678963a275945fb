"""The importer of Inside Airbnb on files of its layout, with prices as text, gaps in calendars and a summary beside."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from winnow.core.errors import NotFound
from winnow.core.time import parse_time
from winnow.data.importers import BY_NAME, load
from winnow.data.importers.airbnb import Airbnb
from winnow.data.nights import day_of, read
from winnow.project import Project

LISTINGS = """id,name,description,host_id,neighbourhood_cleansed,neighbourhood_group_cleansed,latitude,longitude,\
room_type,accommodates,beds,price,review_scores_rating
30,Old,"brick, and a garden",7,Hill,North,1.5,103.5,Entire home/apt,4,2,"$1,250.00",4.8
10,Older,,7,Hill,North,1.6,103.6,Private room,1,,$80.00,
9000,Newest,,8,Port,South,1.2,103.9,Shared room,2,1,,
"""
SUMMARY = "id,name,price\n30,Old,1250\n"
REVIEWS = """listing_id,id,date,reviewer_id,comments
30,501,2020-05-02,77,fine
10,502,2021-01-01,77,"good, again"
30,503,2022-03-04,78,
"""
CALENDAR = """listing_id,date,available,price
30,2023-09-25,t,"$1,250.00"
30,2023-09-23,t,"$1,250.00"
30,2023-09-24,f,"$1,250.00"
10,2023-09-23,f,$80.00
10,2023-09-26,t,$80.00
"""


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "city"
    place.mkdir()
    for name, text in (("listings", LISTINGS), ("reviews", REVIEWS), ("calendar", CALENDAR)):
        (place / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    (place / "listings.csv").write_text(SUMMARY)
    (place / "reviews.csv").write_text("listing_id,date\n30,2020-05-02\n")
    return place


def test_columns_become_those_of_the_system(folder):
    assert BY_NAME["airbnb"] is Airbnb
    ((name, frame),) = Airbnb().tables(folder)
    rows = {row["listing_id"]: row for row in frame.to_dicts()}
    assert name == "listing"
    assert [rows[i]["price"] for i in ("30", "10", "9000")] == [1250.0, 80.0, None]
    assert [rows[i]["kind"] for i in ("30", "10", "9000")] == ["Entire home/apt", "Private room", "Shared room"]
    assert rows["30"]["text"] == "brick, and a garden"
    assert (rows["30"]["city"], rows["30"]["area"], rows["30"]["host"]) == ("North", "Hill", "7")
    assert (rows["10"]["rating"], rows["10"]["beds"], rows["10"]["guests"]) == (None, None, 1.0)


def test_nights_that_are_not_told_are_not_free(folder):
    ((_, frame),) = Airbnb().tables(folder)
    calendars = dict(zip(frame["listing_id"], frame["calendar"], strict=True))
    first, free = read(calendars["30"])
    assert first == day_of("2023-09-23")
    assert np.flatnonzero(free).tolist() == [0, 2]
    assert np.flatnonzero(read(calendars["10"])[1]).tolist() == [3]
    assert calendars["9000"] is None


def test_a_listing_began_no_later_than_what_came_after_it(folder):
    """Ids are given in order: 10 was there before 30, whose first review is earlier than that of 10."""
    ((_, frame),) = Airbnb().tables(folder)
    began = dict(zip(frame["listing_id"], frame["listed_at"], strict=True))
    assert began["10"] == began["30"] == parse_time("2020-05-02T00:00:00Z")
    assert began["9000"] == parse_time("2022-03-04T00:00:00Z")  # never reviewed: no later than the end of the file


def test_reviews_are_views_and_bookings_and_come_once(folder, tmp_path):
    project = Project.init(tmp_path / "p", "similar_listings")
    first, again = (load(Airbnb(), folder, project.intake, progress=False) for _ in range(2))
    assert {name: r.accepted for name, r in first.receipts.items()} == {"listing": 3, "view": 3, "book": 3}
    assert first.total.quarantined == again.total.quarantined == 0
    assert again.receipts["view"].accepted == 0
    project.history.sync(project.log)
    views = project.history.decoded("view", project.log.ids)
    assert set(views["source"]) == {"review"}
    assert set(zip(views["visitor"], views["listing"], strict=True)) == {("77", "30"), ("77", "10"), ("78", "30")}
    project.close()


def test_a_folder_without_the_files_is_told(tmp_path):
    with pytest.raises(NotFound) as error:
        list(Airbnb().tables(tmp_path))
    assert error.value.problems[0].code == "missing-file"


def test_the_real_files_land_whole(tmp_path):
    data = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
    if not (data / "airbnb_singapore").is_dir():
        pytest.skip("the data set airbnb_singapore is not here")
    project = Project.init(tmp_path / "p", "similar_listings")
    summary = load(Airbnb(), data / "airbnb_singapore", project.intake, progress=False)
    assert {n: r.accepted for n, r in summary.receipts.items()} == {"listing": 3_483, "view": 35_698, "book": 35_698}
    assert summary.total.quarantined == 0
    assert summary.left_out == ()
    project.close()
