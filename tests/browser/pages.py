"""What the tests of pages share."""

import shutil
import time

_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
]


def chrome(profile, *, width: int = 1360):
    """A headless Chromium that keeps what pages complain about."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for flag in (*_FLAGS, f"--window-size={width},1000", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def answers(url: str) -> bool:
    """Whether something answers there, and is content."""
    import httpx

    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def eventually(test, seconds: float = 15):
    """What a test gives once it gives something."""
    give_up_at = time.monotonic() + seconds
    while not (found := test()):
        assert time.monotonic() < give_up_at, "waited too long"
        time.sleep(0.05)
    return found
