"""The page for reviewers in a real browser: posts stay hidden until asked for, and everything works by keyboard."""

import base64

import pytest
from moderated import action, decide, picture, press, shown, snap, text
from pages import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
]
REVIEWERS = ("kim", "lee", "mia", "noa")  # one for each test


@pytest.fixture
def service(served):
    """The service with nothing to review."""
    yield served
    for who in (*REVIEWERS, "ann"):  # what one skipped another takes
        while item := served.post("/v1/moderation/review/next", json={"reviewer": who}).json()["item"]:
            served.post(f"/v1/moderation/review/{item['task']}/verdict", json={"heads": {}, "reviewer": who})


@pytest.fixture
def browser(chromium):
    """A browser that nobody has told their name yet, and that has nothing to complain about."""
    yield chromium
    # That the service asks who reviews is the one refusal on the way.
    said = chromium.get_log("browser")
    chromium.execute_script("sessionStorage.clear()")
    chromium.get("about:blank")
    assert not [entry for entry in said if entry["level"] == "SEVERE" and "/review/next" not in entry["message"]]


def opened(browser, service, name: str) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{service.base_url}/review")
    eventually(lambda: shown(browser, "#who"))
    press(browser, name, Keys.ENTER)
    eventually(lambda: shown(browser, "#post") or shown(browser, "#empty"))


def test_a_post_is_hidden_until_asked_for_and_decided_by_keyboard(browser, service):
    from selenium.webdriver.common.keys import Keys

    decide(service, "🙂 what a grumble you are", "a1")
    decide(service, "zorp", "a2", image=base64.b64encode(picture()).decode())
    opened(browser, service, REVIEWERS[0])
    assert text(browser, "#waiting") == "2"
    assert text(browser, "#claimed") == "1"
    # The gravest comes first. Nothing of it is in the page, and so nothing can be seen by accident.
    assert "zorp" not in browser.page_source
    snap(browser, "review-hidden")
    press(browser, Keys.SPACE)
    eventually(lambda: text(browser, "#text") == "zorp")
    assert shown(browser, "#text")
    assert eventually(lambda: browser.execute_script("return document.querySelector('#image').naturalWidth")) == 64
    assert "blur" in browser.execute_script("return getComputedStyle(document.querySelector('#image')).filter")
    snap(browser, "review-image-veiled")
    press(browser, "i")
    assert browser.execute_script("return getComputedStyle(document.querySelector('#image')).filter") == "none"
    press(browser, Keys.SPACE)
    assert not shown(browser, "#text")
    press(browser, "2", Keys.ENTER)
    eventually(lambda: text(browser, "#done") == "1")
    assert action(service, "a2") == "remove"
    # The next one: its spans are marked at the right characters, whatever comes before them.
    assert "grumble" not in browser.page_source
    press(browser, Keys.SPACE)
    assert eventually(lambda: browser.execute_script("return document.querySelector('mark')?.textContent")) == "grumble"
    scores = browser.execute_script("return [...document.querySelectorAll('.head output')].map(e => e.textContent)")
    assert scores == ["72 %", "0.0 %"]
    snap(browser, "review-shown")
    press(browser, Keys.ENTER)
    eventually(lambda: shown(browser, "#empty"))
    assert action(service, "a1") == "allow"
    assert text(browser, "#waiting") == "0"
    snap(browser, "review-empty")


def test_a_verdict_is_taken_back(browser, service):
    from selenium.webdriver.common.keys import Keys

    decide(service, "one grumble", "b1")
    decide(service, "another grumble", "b2", reach=10.0)
    opened(browser, service, REVIEWERS[1])
    press(browser, "1", Keys.ENTER)
    eventually(lambda: "first" in text(browser, "#status"))  # nobody decides about what they have not seen
    press(browser, Keys.SPACE)
    eventually(lambda: shown(browser, "#text"))
    press(browser, Keys.ENTER)
    eventually(lambda: text(browser, "#done") == "1")
    assert action(service, "b1") == "remove"
    assert "insult" in text(browser, "#taken-text")
    press(browser, "z")
    eventually(lambda: text(browser, "#done") == "0")
    assert action(service, "b1") == "demote"
    press(browser, Keys.SPACE)
    eventually(lambda: text(browser, "#text") == "one grumble")


def test_skipped_posts_and_those_that_nobody_can_tell_go_on(browser, service):
    decide(service, "one grumble", "c1")
    decide(service, "another grumble", "c2", reach=10.0)
    opened(browser, service, REVIEWERS[2])
    press(browser, "s")
    eventually(lambda: "somebody else" in text(browser, "#status"))
    press(browser, "c")
    eventually(lambda: shown(browser, "#empty"))
    assert action(service, "c1") == action(service, "c2") == "demote"
    assert text(browser, "#waiting") == "1"


def test_it_loads_nothing_from_elsewhere_and_fits_a_phone(browser, service):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    decide(service, "a grumble of " + "very" * 60 + " long words", "d1")
    opened(browser, service, REVIEWERS[3])
    press(browser, " ")
    eventually(lambda: shown(browser, "#text"))
    sources = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert sources
    assert all(source.startswith(str(service.base_url)) for source in sources)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    snap(browser, "review-phone")
