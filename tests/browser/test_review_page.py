"""The page for reviewers in a real browser: posts stay hidden until asked for, and everything works by keyboard."""

import base64
import os
import socket
import subprocess
import sys
import zlib

import pytest
from pages import chrome, eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
]
SERVE = """
import sys, uvicorn
from winnow.console.app import create
from winnow.project import Project
app = create(Project(sys.argv[1]))
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""
REVIEWERS = ("kim", "lee", "mia", "noa")  # one for each test
POLICY = {
    "name": "community",
    "harms": {
        "insult": {
            "severity": 2.0, "reason": "This insults somebody.",
            "rules": [{"action": "demote", "at": 0.6}, {"action": "remove", "at": 0.99}],
        },
        "peril": {
            "severity": 9.0, "top": True, "reason": "This puts somebody in danger.",
            "rules": [{"action": "escalate", "at": 0.5}],
        },
    },
}  # fmt: skip
WORDS = "[heads.insult]\ngrumble = 0.72\nblarg = 0.95\n[heads.peril]\nzorp = 0.97\n"
SETTINGS = """[judge]
words = "words.toml"
[review]
double_share = 0.0
sample_share = 0.0
golden_share = 0.0
sample_turn = 0.0
spread = false
"""


def picture() -> bytes:
    """A small PNG in two colours."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = 64
    rows = b"".join(b"\0" + bytes([200, 90, 60] * (side // 2) + [40, 90, 160] * (side // 2)) for _ in range(side))
    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service without keys, and what talks to it."""
    import httpx

    from winnow.project import Project

    tmp_path = tmp_path_factory.mktemp("review")
    project = Project.init(tmp_path / "shop")
    for name, text in (
        ("winnow.toml", '[server]\nauth = "off"\n'),
        ("moderation.toml", SETTINGS),
        ("words.toml", WORDS),
    ):
        (project.folder / name).write_text(text)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    log = tmp_path / "service.log"
    with log.open("wb") as out:
        command = [sys.executable, "-c", SERVE, str(project.folder), str(port)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
    try:
        eventually(lambda: answers(client, process, log), 60)
        version = client.put("/v1/moderation/policies", json={"policy": POLICY}).json()["version"]
        sent = {"force": True, "why": "the first"}
        client.post(f"/v1/moderation/policies/{version}/activate", json=sent).raise_for_status()
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(30)


@pytest.fixture
def service(served):
    """The service with nothing to review."""
    yield served
    for who in (*REVIEWERS, "ann"):  # what one skipped another takes
        while item := served.post("/v1/moderation/review/next", json={"reviewer": who}).json()["item"]:
            served.post(f"/v1/moderation/review/{item['task']}/verdict", json={"heads": {}, "reviewer": who})


def answers(client, process, log) -> bool:
    import httpx

    assert process.poll() is None, log.read_text()
    try:
        return client.get("/health/live").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = chrome(tmp_path_factory.mktemp("profile"), width=1100)
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium):
    """A browser that nobody has told their name yet, and that has nothing to complain about."""
    yield chromium
    # That the service asks who reviews is the one refusal on the way.
    said = chromium.get_log("browser")
    chromium.execute_script("sessionStorage.clear()")
    chromium.get("about:blank")
    assert not [entry for entry in said if entry["level"] == "SEVERE" and "/review/next" not in entry["message"]]


def text(browser, selector: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def shown(browser, selector: str) -> bool:
    return browser.execute_script("return document.querySelector(arguments[0]).checkVisibility()", selector)


def press(browser, *keys) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def opened(browser, service, name: str) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{service.base_url}/review")
    eventually(lambda: shown(browser, "#who"))
    press(browser, name, Keys.ENTER)
    eventually(lambda: shown(browser, "#post") or shown(browser, "#empty"))


def decide(service, words: str, request: str, **more):
    sent = {"text": words, "request": request, "author": "sam", "reach": 100.0} | more
    return service.post("/v1/moderation/decisions", json=sent).raise_for_status().json()


def action(service, request: str) -> str:
    return service.get(f"/v1/moderation/decisions/{request}").json()["action"]


def snap(browser, name: str) -> None:
    """Keeps a picture of the page where `WINNOW_SCREENSHOTS` says."""
    if folder := os.environ.get("WINNOW_SCREENSHOTS"):
        browser.save_screenshot(os.path.join(folder, f"review-{name}.png"))


def test_a_post_is_hidden_until_asked_for_and_decided_by_keyboard(browser, service):
    from selenium.webdriver.common.keys import Keys

    decide(service, "🙂 what a grumble you are", "a1")
    decide(service, "zorp", "a2", image=base64.b64encode(picture()).decode())
    opened(browser, service, REVIEWERS[0])
    assert text(browser, "#waiting") == "2"
    assert text(browser, "#claimed") == "1"
    # The gravest comes first. Nothing of it is in the page, and so nothing can be seen by accident.
    assert "zorp" not in browser.page_source
    snap(browser, "hidden")
    press(browser, Keys.SPACE)
    eventually(lambda: text(browser, "#text") == "zorp")
    assert shown(browser, "#text")
    assert eventually(lambda: browser.execute_script("return document.querySelector('#image').naturalWidth")) == 64
    assert "blur" in browser.execute_script("return getComputedStyle(document.querySelector('#image')).filter")
    snap(browser, "image-veiled")
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
    snap(browser, "shown")
    press(browser, Keys.ENTER)
    eventually(lambda: shown(browser, "#empty"))
    assert action(service, "a1") == "allow"
    assert text(browser, "#waiting") == "0"
    snap(browser, "empty")


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
    snap(browser, "phone")
