"""The page of `winnow demo` in a real browser: a click changes the next list, and everything works by keyboard."""

import os
import socket
import subprocess
import sys
import time

import pytest
from pages import answers, eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A small world, trained and served, as `winnow demo` does it."""

    folder = tmp_path_factory.mktemp("demo")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "winnow.cli", "demo", str(folder / "project"), "--port", str(port)]
    log = folder / "demo.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--people", "300", "--items", "400"], stdout=out, stderr=subprocess.STDOUT, env=os.environ
        )
    try:
        address, give_up_at = f"http://127.0.0.1:{port}", time.monotonic() + 400
        while not answers(f"{address}/health/ready"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.25)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def found(browser, selector: str):
    return browser.find_elements("css selector", selector)


def shown(browser) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('#list > li')].map(e => e.dataset.id)")


def text(browser, selector: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def opened(browser, url: str) -> list[str]:
    browser.get(url)
    return eventually(lambda: shown(browser))


def test_the_list_says_what_is_there_and_why(browser, url):
    assert len(opened(browser, url)) == 15
    assert "Videos for" in text(browser, "#list-title")
    first = found(browser, "#list > li")[0].text
    assert "·" in first  # channel, tags and age
    assert len(found(browser, "#list .reasons li")) >= 15
    assert text(browser, "#release")
    assert len(text(browser, "#declaration")) == 16
    assert float(text(browser, "#took").split()[0]) > 0
    rows = [row.text for row in found(browser, "#stages tr")]
    assert sum("source" in row for row in rows) == 4
    assert any("filter" in row for row in rows)


def test_watching_changes_the_list_and_marks_what_moved(browser, url):
    before = opened(browser, url)
    title = found(browser, "#list .title")[0]
    name = title.text
    title.click()
    after = eventually(lambda: (now := shown(browser)) != before and now)
    assert before[0] not in after
    eventually(lambda: "Watched" in text(browser, "#change"))
    assert name in text(browser, "#change")
    assert name in text(browser, "#watched li")
    kept = [one for one in after if one in before]
    marks = {
        e.get_attribute("data-id"): e.find_element("css selector", ".move").text for e in found(browser, "#list > li")
    }
    assert all(marks[one] == "new" for one in after if one not in kept)
    was = before[1:]
    for one in kept:
        moved = was.index(one) - after.index(one)
        assert marks[one] == ("" if not moved else f"{'▲' if moved > 0 else '▼'} {abs(moved)}")


def test_hiding_takes_a_channel_away(browser, url):
    before = opened(browser, url)
    item = found(browser, "#list > li")[0]
    channel = item.find_element("css selector", ".by").text.split("·")[0].strip()
    item.find_element("css selector", ".hide").click()
    eventually(lambda: before[0] not in shown(browser))
    eventually(lambda: "Hidden" in text(browser, "#change"))
    assert not any(by.text.split("·")[0].strip() == channel for by in found(browser, "#list .by"))


def test_a_person_is_found_and_chosen_by_keyboard(browser, url):
    from selenium.webdriver.common.keys import Keys

    opened(browser, url)
    field = found(browser, "#person")[0]
    field.click()
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("ma")
    people = "return [...document.querySelectorAll('#people li')].map(e => e.firstChild.textContent)"
    names = eventually(lambda: (n := browser.execute_script(people)) and n[0].startswith("Ma") and n)
    field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    who = names[0]
    eventually(lambda: who in text(browser, "#list-title"))
    assert text(browser, "#who") == who
    assert field.get_attribute("aria-expanded") == "false"


def test_why_unfolds_the_predictions_by_keyboard(browser, url):
    from selenium.webdriver.common.keys import Keys

    opened(browser, url)
    why = found(browser, "#list .why")[0]
    why.send_keys(Keys.ENTER)
    assert why.get_attribute("aria-expanded") == "true"
    heads = [e.text for e in found(browser, "#list > li:first-child .scores dt")]
    assert {"Click", "Long view", "Like", "Watch time"} <= set(heads)
    why.send_keys(Keys.ENTER)
    assert why.get_attribute("aria-expanded") == "false"


def test_it_loads_nothing_from_elsewhere_and_fits_a_phone(browser, url):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    opened(browser, url)
    sources = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert sources
    assert all(source.startswith(url) for source in sources)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
