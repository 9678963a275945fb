"""The page of appeals in a real browser: the author sees why and appeals, somebody else decides, all by keyboard."""

import base64

import pytest
from moderated import action, decide, picture, press, shown, snap, text
from pages import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
]


@pytest.fixture
def service(served):
    """The service with no appeal open."""
    yield served
    for one in served.get("/v1/moderation/appeals").json()["items"]:
        sent = {"outcome": "upheld", "reviewer": "zoe"}
        served.post(f"/v1/moderation/appeals/{one['id']}/decide", json=sent).raise_for_status()


@pytest.fixture
def browser(chromium):
    """A browser that nobody has told their name yet, and that has nothing to complain about."""
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    yield chromium
    said = chromium.get_log("browser")
    chromium.execute_script("sessionStorage.clear()")
    chromium.get("about:blank")
    assert not [entry for entry in said if entry["level"] == "SEVERE" and "/notice" not in entry["message"]]


def appealed(service, request: str, statement: str = "", **more) -> str:
    sent = {"decision": request, "statement": statement} | more
    return service.post("/v1/moderation/appeals", json=sent).raise_for_status().json()["id"]


def opened(browser, service, name: str) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{service.base_url}/appeals")
    eventually(lambda: shown(browser, "#who") or shown(browser, "#empty"))
    if shown(browser, "#who"):
        press(browser, name, Keys.ENTER)
    eventually(lambda: shown(browser, "#post") or shown(browser, "#empty"))


def focused(browser) -> str:
    return browser.execute_script("return document.activeElement.id")


def test_an_author_sees_why_and_appeals_by_keyboard(browser, service):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    decide(service, "what a grumble you are", "p1")
    browser.get(f"{service.base_url}/appeals?decision=")
    eventually(lambda: focused(browser) == "decision")
    press(browser, "p1", Keys.ENTER)
    eventually(lambda: shown(browser, "#notice"))
    assert text(browser, "#reason") == "This insults somebody."
    assert text(browser, "#action") == "Fewer people see the post."
    assert "0.72" not in browser.page_source  # neither scores nor harms are told
    assert "grumble" not in browser.page_source
    eventually(lambda: focused(browser) == "statement")
    assert not shown(browser, "#anew")
    press(browser, "It is the name of my cat.")
    snap(browser, "appeals-author")
    ActionChains(browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    eventually(lambda: "open" in text(browser, "#status"))
    assert not shown(browser, "#appeal")
    (one,) = service.get("/v1/moderation/appeals").json()["items"]
    assert one["decision"] == "p1"


def test_an_author_brings_the_post_again_where_it_is_not_kept(browser, service):
    from selenium.webdriver.common.keys import Keys

    decide(service, "zorp", "p2", author="ann", reach=1.0)
    service.put("/v1/moderation/known", json={"key": "text:" + "0" * 64, "harm": "peril"})
    browser.get(f"{service.base_url}/appeals?decision=nothing")
    eventually(lambda: shown(browser, "#toast"))
    assert "unknown decision" in text(browser, "#toast")
    browser.get(f"{service.base_url}/appeals?decision=p2")
    eventually(lambda: shown(browser, "#appeal"))
    assert shown(browser, "#anew") == (not service.get("/v1/moderation/decisions/p2/notice").json()["content_kept"])
    press(browser, "please", Keys.TAB)
    assert shown(browser, "#notice")


def test_a_reviewer_decides_by_keyboard_what_is_hidden_until_asked_for(browser, service):
    from selenium.webdriver.common.keys import Keys

    decide(service, "🙂 what a grumble you are", "q1", image=base64.b64encode(picture()).decode())
    appealed(service, "q1", "It is the name of my cat.")
    opened(browser, service, "kim")
    assert text(browser, "#because") == "This insults somebody."
    assert "grumble" not in browser.page_source
    assert "my cat" not in browser.page_source
    snap(browser, "appeals-hidden")
    press(browser, "r")  # the outcome, and on to the reason
    eventually(lambda: focused(browser) == "why")
    press(browser, "a cat", Keys.ENTER)
    eventually(lambda: "first" in text(browser, "#status"))  # nobody decides about what they have not seen
    assert action(service, "q1") == "demote"
    press(browser, Keys.ESCAPE, Keys.SPACE)
    eventually(lambda: shown(browser, "#text"))
    assert text(browser, "#said") == "It is the name of my cat."
    assert text(browser, "mark") == "grumble"
    assert eventually(lambda: browser.execute_script("return document.querySelector('#image').naturalWidth")) == 64
    style = "return getComputedStyle(document.querySelector('#image')).filter"
    assert "blur" in browser.execute_script(style)
    snap(browser, "appeals-shown")
    press(browser, "i")
    assert browser.execute_script(style) == "none"
    press(browser, Keys.SPACE)
    assert not shown(browser, "#text")
    assert not shown(browser, "#said")
    press(browser, Keys.ENTER)
    eventually(lambda: shown(browser, "#empty"))
    assert "ended" in text(browser, "#status")
    assert action(service, "q1") == "allow"
    told = service.get("/v1/moderation/decisions/q1").json()
    assert [a["state"] for a in told["appeals"]] == ["reversed"]
    assert "my cat" not in browser.page_source


def test_appeals_that_are_for_others_are_not_shown_and_the_others_in_turn(browser, service):
    decide(service, "one grumble", "s1")
    decide(service, "another grumble", "s2", author="lee")
    decide(service, "a third grumble", "s3")
    for key in ("s1", "s2", "s3"):
        appealed(service, key)
    opened(browser, service, "lee")
    assert text(browser, "#place") == "1 of 2"
    press(browser, "n")
    eventually(lambda: text(browser, "#place") == "2 of 2")
    press(browser, " ")
    eventually(lambda: text(browser, "#text") == "a third grumble")
    press(browser, "n")
    eventually(lambda: text(browser, "#place") == "1 of 2")
    assert "third" not in browser.page_source
    press(browser, " ")
    eventually(lambda: text(browser, "#text") == "one grumble")
    press(browser, "u", "\n")
    eventually(lambda: text(browser, "#place") == "1 of 1")
    assert "stays" in text(browser, "#status")
    assert action(service, "s1") == "demote"


def test_it_loads_nothing_from_elsewhere_and_fits_a_phone(browser, service):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    decide(service, "a grumble of " + "very" * 60 + " long words", "t1")
    appealed(service, "t1", "please " + "please" * 60)
    opened(browser, service, "mia")
    press(browser, " ")
    eventually(lambda: shown(browser, "#text"))
    sources = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert sources
    assert all(source.startswith(str(service.base_url)) for source in sources)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    snap(browser, "appeals-phone")
    browser.get(f"{service.base_url}/appeals?decision=t1")
    eventually(lambda: shown(browser, "#notice"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
