"""The page of similar listings in a real browser: pick one, ask for dates, guests and a price, open one, book it."""

import json
import os
import socket
import subprocess
import sys
from datetime import date, timedelta

import pytest
from pages import answers, eventually

from winnow.core.time import now_us
from winnow.data.importers import load
from winnow.project import Project
from winnow.simulation.importer import FILE, ListingsImporter
from winnow.simulation.listings_world import ListingSize, ListingWorld

NAME = "similar_listings"
SIZE = ListingSize(listings=200, later=10, cities=2, trips=800, days=12, robots=0)
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "stays"
    project = Project.init(folder, NAME)
    ListingWorld.make(SIZE, until=now_us()).write(folder / FILE)
    load(ListingsImporter(), folder, project.intake, progress=False)
    project.train(NAME)
    yield project
    project.close()


@pytest.fixture(scope="module")
def url(project):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "winnow.cli", "serve", "--project", str(project.folder), "--port", str(port)]
    settings = {"WINNOW_SERVER_AUTH": "off", "WINNOW_SERVER_WORKERS": "1"}
    with (project.folder / "serve.log").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ | settings)
    try:
        eventually(lambda: process.poll() is None and answers(f"http://127.0.0.1:{port}/health/ready"), 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def cards(browser):
    return browser.execute_script("return [...document.querySelectorAll('#list button')].map(b => b.textContent)")


def fill(browser, **values):
    script = "for (const [id, v] of Object.entries(JSON.parse(arguments[0]))) document.getElementById(id).value = v"
    browser.execute_script(script, json.dumps(values))
    browser.find_element("css selector", "#stay button").click()


def logged(project, kind):
    project.history.sync(project.log)
    return project.history.decoded(kind, project.log.ids).sort("seq")


def test_a_listing_is_picked_narrowed_opened_and_booked(browser, url, project):
    browser.get(url)
    assert len(eventually(lambda: cards(browser))) == 12
    world = ListingWorld.read(project.folder / FILE)
    arrival = date.today() + timedelta(days=4)
    fill(browser, listing="listing-00005", **{"from": str(arrival), "to": str(arrival + timedelta(days=2))})
    title = world.listings.names[5]
    eventually(lambda: browser.find_element("css selector", "#viewed-title").text == title)
    assert cards(browser)
    fill(browser, price=1)
    eventually(lambda: not cards(browser))
    assert "Nothing" in browser.find_element("css selector", "#told").text
    fill(browser, price="", guests=2)
    name = eventually(lambda: cards(browser))[0]
    browser.find_element("css selector", "#list button").click()
    eventually(lambda: name.startswith(browser.find_element("css selector", "#viewed-title").text))
    browser.find_element("css selector", "#book").click()
    eventually(lambda: "Booked" in browser.find_element("css selector", "#told").text)
    views, clicks, books = (logged(project, kind) for kind in ("view", "click", "book"))
    assert views["source"].to_list()[-1] == "similar"
    assert clicks["viewed"].to_list()[-1] == "listing-00005"
    assert books["listing"].to_list()[-1] == clicks["listing"].to_list()[-1] == views["listing"].to_list()[-1]
    assert len(set(views["visitor"].to_list()[-3:])) == 1
