"""The page shows any system that puts items in order: here a feed, whose tables and events have other names."""

import sys
from pathlib import Path

import pytest
from pages import eventually

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "systems"))

from feed_fixtures import feed_folder, feed_template  # noqa: F401
from test_simulation_loop import serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def shown(browser):
    return browser.execute_script("return [...document.querySelectorAll('#list > li')].map(e => e.dataset.id)")


def text(browser, selector):
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def press(browser, button):
    """Presses a button of the first item, wherever it is sliding."""
    found = eventually(lambda: browser.find_elements("css selector", f"#list:not(.busy) > li:first-child {button}"))
    browser.execute_script("arguments[0].click()", found[0])


def test_a_feed_is_shown_and_what_is_hidden_is_gone(browser, feed_folder, tmp_path):  # noqa: F811
    with serving(feed_folder, tmp_path / "serve.log") as url:
        browser.get(url)
        before = eventually(lambda: shown(browser))
        assert text(browser, "#system") == "news feed"
        assert text(browser, "#list-title").startswith("Posts for ")
        first = browser.find_element("css selector", "#list > li:first-child")
        assert first.find_element("css selector", ".title").get_attribute("aria-label").startswith("Open ")
        press(browser, ".hide")
        eventually(lambda: text(browser, "#change").startswith("Hidden"))
        assert before[0] not in shown(browser)
        press(browser, ".like")
        eventually(lambda: text(browser, "#change").startswith("Liked"))
        eventually(lambda: browser.find_elements("css selector", "#watched li"))
