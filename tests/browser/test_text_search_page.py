"""The page of a search by text in a real browser: type, narrow down, what was corrected, and why nothing was found."""

import os
import re
import socket
import subprocess
import sys

import pytest
from pages import answers, eventually

from winnow.core.time import now_us
from winnow.data.importers import load
from winnow.project import Project
from winnow.simulation.importer import FILE, SearchImporter
from winnow.simulation.search_world import SearchSize, SearchWorld

NAME = "text_to_video_search"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A world of videos, with models that take seconds, served without keys."""
    folder = tmp_path_factory.mktemp("page") / "p"
    project = Project.init(folder, NAME)
    (file,) = project.system_files
    near = "w.SameSpace(asked, items=(titled, told))"
    ladder = f"retrieval = w.Ladder(L0={near}, L1={near}, L2={near})"
    text = re.sub(r"retrieval = w\.Ladder\(.*?\n\)  # fmt: skip", ladder, file.read_text(), flags=re.DOTALL)
    text = text.replace("w.MiniLM()", "w.HashedWords(size=384)").replace("p99=ms(200)", "p99=ms(3000)")
    file.write_text(text.replace("L2=w.GradientBoosting()", "L2=w.GradientBoosting(epochs=60)"))
    SearchWorld(SearchSize(videos=500, texts=100, lists=600), 1, now_us()).write(folder / FILE)
    project = Project(folder)
    load(SearchImporter(), folder, project.intake, progress=False)
    project.train(NAME)
    yield project
    project.close()


@pytest.fixture(scope="module")
def url(project):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "winnow.cli", "serve", "--project", str(project.folder), "--port", str(port)]
    environment = os.environ | {"WINNOW_SERVER_AUTH": "off", "WINNOW_SERVER_WORKERS": "1"}
    with (project.folder / "serve.log").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        eventually(lambda: process.poll() is None and answers(f"{address}/health/ready"), 60)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def texts(browser, selector):
    script = "return [...document.querySelectorAll(arguments[0])].filter(e => !e.hidden).map(e => e.textContent.trim())"
    return browser.execute_script(script, selector)


def search(browser, text):
    """Types and waits for the answer."""
    browser.execute_script("document.querySelector('#title').textContent = ''")
    field = browser.find_element("css selector", "#text")
    field.clear()
    field.send_keys(text)
    browser.find_element("css selector", "#ask button").click()
    return eventually(lambda: texts(browser, "#title")[0] and not browser.execute_script(
        "return document.querySelector('#results').classList.contains('busy')"), 20)  # fmt: skip


def test_a_text_with_a_slip_is_corrected_and_can_be_declined(browser, url):
    browser.get(url)
    eventually(lambda: texts(browser, "#results h2"), 30)
    search(browser, "sourduogh")
    assert "sourdough" in texts(browser, "#corrected")[0].lower()
    assert any("sourdough" in title.lower() for title in texts(browser, "#results h2"))
    assert "sourdough" in [word.lower() for word in texts(browser, "#results mark")]
    assert "words" in texts(browser, "#results li:first-child .chip")
    browser.find_element("css selector", "#corrected button").click()
    eventually(lambda: "sourduogh" in texts(browser, "#title")[0], 20)
    assert not texts(browser, "#corrected")


def test_a_filter_that_empties_the_list_is_named_and_can_be_taken_back(browser, url):
    browser.get(f"{url}/?text=sourdough")
    eventually(lambda: texts(browser, "#results h2"), 30)
    field = browser.find_element("css selector", "#from")
    field.send_keys("99999\n")
    eventually(lambda: texts(browser, "#empty .why button"), 20)
    assert "filter on length" in texts(browser, "#empty .why button")[0]
    browser.find_element("css selector", "#empty .why button").click()
    eventually(lambda: texts(browser, "#results h2"), 20)


def test_what_is_shown_and_opened_is_logged_for_the_text(browser, url, project):
    browser.get(f"{url}/?text=rye%20bread")
    eventually(lambda: texts(browser, "#results .told"), 30)
    browser.find_element("css selector", "#results h2 button").click()
    query = project.search(NAME, text="rye bread", remember=False)["query"]

    def clicked():
        project.history.sync(project.log)
        row = int(project.log.ids.rows("query", [query])[0])
        return row >= 0 and len(project.history.events("click").collect().filter(query=row))

    assert eventually(clicked, 20)
