"""A service without keys that decides about posts, for the tests of its pages."""

import os
import socket
import subprocess
import sys
import zlib

import pytest
from pages import chrome, eventually

SERVE = """
import sys, uvicorn
from winnow.console.app import create
from winnow.project import Project
app = create(Project(sys.argv[1]))
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""
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


def text(browser, selector: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def shown(browser, selector: str) -> bool:
    return browser.execute_script("return document.querySelector(arguments[0]).checkVisibility()", selector)


def press(browser, *keys) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def decide(service, words: str, request: str, **more):
    sent = {"text": words, "request": request, "author": "sam", "reach": 100.0} | more
    return service.post("/v1/moderation/decisions", json=sent).raise_for_status().json()


def action(service, request: str) -> str:
    return service.get(f"/v1/moderation/decisions/{request}").json()["action"]


def snap(browser, name: str) -> None:
    """Keeps a picture of the page where `WINNOW_SCREENSHOTS` says."""
    if folder := os.environ.get("WINNOW_SCREENSHOTS"):
        browser.save_screenshot(os.path.join(folder, f"{name}.png"))
