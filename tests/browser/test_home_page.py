"""The home page where what is shown is no video: events, and people, in a real browser."""

import os
import socket
import subprocess
import sys

import pytest
from pages import answers, eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture
def url(request, tmp_path):
    """The page of a demo, trained and served."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "winnow.cli", "demo", str(tmp_path / "project"), "--port", str(port)]
    log = tmp_path / "demo.log"
    size = ["--system", request.param, "--people", "150", "--items", "150"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *size], stdout=out, stderr=subprocess.STDOUT, env=os.environ | {"WINNOW_SERVER_WORKERS": "1"}
        )
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/health/ready") or process.poll() is not None, 300)
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def text(browser, selector):
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def shown(browser):
    return browser.execute_script("return [...document.querySelectorAll('#list > li')].map(e => e.dataset.id)")


def past(browser):
    return browser.execute_script("return [...document.querySelectorAll('#watched li')].map(e => e.textContent)")


@pytest.mark.parametrize(
    ("url", "title", "byline"),
    [("event_recommendation", "Events for", "starts "),
     pytest.param("people_you_may_know", "People for", "", marks=pytest.mark.heavy)],
    indirect=["url"],
)  # fmt: skip
def test_what_is_opened_is_taken_up_and_leaves_the_list(browser, url, title, byline):
    browser.get(url)
    first = eventually(lambda: shown(browser))[0]
    assert title in text(browser, "#list-title")
    assert byline in text(browser, "#list .by")
    name = text(browser, "#list .title")
    browser.find_element("css selector", "#list .title").click()
    eventually(lambda: name in (past(browser) or [""])[0])
    eventually(lambda: shown(browser) and first not in shown(browser))
