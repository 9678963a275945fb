"""The page of a search by picture in a real browser: drop one, click one, draw a box, save one, hands off the mouse."""

import os
import re
import socket
import subprocess
import sys
import time

import pytest
from pages import answers, eventually

from winnow.project import Project
from winnow.simulation import shapes

NAME = "visual_search"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A collection of shapes, with models that take seconds, served without keys."""
    folder = tmp_path_factory.mktemp("page")
    shapes.write(folder / "shapes", 20)
    project = Project.init(folder / "shop", NAME)
    (file,) = project.system_files
    ladder = "retrieval = w.Ladder(L0=w.Looks(), L1=w.Looks(), L2=w.Looks())"
    file.write_text(re.sub(r"retrieval = w\.Ladder\(.*\)", ladder, file.read_text()))
    project = Project(folder / "shop")
    project.import_data("pictures", folder / "shapes", progress=False)
    project.train(NAME)
    yield project
    project.log.close()


@pytest.fixture(scope="module")
def url(project):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "winnow.cli", "serve", "--project", str(project.folder), "--port", str(port)]
    log = project.folder / "serve.log"
    environment = os.environ | {"WINNOW_SERVER_AUTH": "off", "WINNOW_SERVER_WORKERS": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        eventually(lambda: process.poll() is None and answers(f"{address}/health/ready"), 60)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def shown(browser):
    """Ids of the tiles whose thumbnails are there."""
    script = """const tiles = [...document.querySelectorAll('#grid > li')];
    const busy = document.querySelector('#grid').classList.contains('busy');
    const there = tiles.length && tiles.every(t => t.querySelector('img').naturalWidth);
    return !busy && there ? tiles.map(t => t.dataset.id) : null"""
    return browser.execute_script(script)


def text(browser, selector):
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def opened(browser, url, query=""):
    browser.get(f"{url}/{query}")
    return eventually(lambda: shown(browser))


def changed(browser, before):
    return eventually(lambda: (now := shown(browser)) != before and now)


def picture(browser, name):
    """Keeps what the page looks like, for a person to look at, where somebody asks for it."""
    if folder := os.environ.get("WINNOW_SCREENSHOTS"):
        browser.save_screenshot(f"{folder}/{name}.png")


def events(project, kind):
    return project.frame(kind).to_dicts()


def test_a_dropped_picture_finds_its_like_and_a_click_searches_on(browser, url, project, tmp_path):
    before = opened(browser, url)
    assert "From the collection" in text(browser, "#title")
    file = tmp_path / "mine.jpg"
    file.write_bytes(shapes.encoded(shapes.picture("ring", 3), "JPEG"))
    browser.find_element("id", "file").send_keys(str(file))
    found = changed(browser, before)
    assert found[0] == "ring/ring-003"  # the same picture, saved in another format
    assert text(browser, "#told") == "30 pictures, by the whole picture."
    assert float(text(browser, "#grid .score")) > 0.9
    second = browser.find_elements("css selector", "#grid .open")[1]
    second.click()
    onwards = changed(browser, found)
    assert found[1] not in onwards  # nothing is an answer to itself
    eventually(lambda: [e for e in events(project, "click") if e["image"] == found[1]])
    (click,) = (e for e in events(project, "click") if e["image"] == found[1])
    assert click["query"].startswith("upload-")
    assert click["recommendation_id"]


def test_a_box_drawn_with_the_pointer_changes_what_is_found(browser, url):
    from selenium.webdriver import ActionChains

    before = opened(browser, url, "?id=disc/disc-004")
    frame = browser.find_element("id", "frame")
    drawing = ActionChains(browser).move_to_element_with_offset(frame, -60, -60).click_and_hold()
    drawing.move_by_offset(70, 80).release().perform()
    after = changed(browser, before)
    assert text(browser, "#told") == f"{len(after)} pictures, by the part in the box."
    assert "% of it" in text(browser, "#part")
    picture(browser, "search-box")
    browser.find_element("id", "whole").click()
    assert changed(browser, after) == before
    assert text(browser, "#part") == ""


def test_everything_works_by_keyboard(browser, url, project):
    from selenium.webdriver.common.keys import Keys

    before = opened(browser, url, "?id=cross/cross-002")
    frame = browser.find_element("id", "frame")
    frame.send_keys(Keys.ENTER)
    boxed = changed(browser, before)
    frame.send_keys(Keys.SHIFT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.NULL, Keys.ARROW_LEFT)
    eventually(lambda: text(browser, "#part") == "53 × 53 % of it")
    frame.send_keys(Keys.ESCAPE)
    assert changed(browser, boxed) == before
    save = browser.find_element("css selector", "#grid .save")
    save.send_keys(Keys.ENTER)
    eventually(lambda: save.get_attribute("aria-pressed") == "true")
    assert {"query": "cross/cross-002", "image": before[0]}.items() <= events(project, "save")[-1].items()


def test_what_cannot_be_read_is_told_with_a_way_out(browser, url, tmp_path):
    opened(browser, url)
    file = tmp_path / "notes.txt"
    file.write_text("not a picture")
    browser.find_element("id", "file").send_keys(str(file))
    toast = browser.find_element("id", "toast")
    eventually(toast.is_displayed)
    assert "send a JPEG, PNG" in toast.text
    assert shown(browser)
    # The browser notes the refusal itself; nothing else may be amiss.
    assert [e for e in browser.get_log("browser") if "400" in e["message"]]


def test_a_hidden_picture_leaves_the_page(browser, url, project):
    before = opened(browser, url, "?id=dots/dots-001")
    project.intake.rows("image", [{"image_id": before[0], "private": 1}])
    time.sleep(0.3)
    browser.refresh()
    after = eventually(lambda: (now := shown(browser)) and before[0] not in now and now)
    assert before[1] in after


@pytest.mark.parametrize("width", [1360, 390])
def test_nothing_sticks_out(browser, url, width):
    browser.set_window_size(width, 900)
    opened(browser, url, "?id=square/square-005")
    wider = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0
    picture(browser, f"search-{width}")
