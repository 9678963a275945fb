"""Headless Chromium for the tests of pages."""

import shutil

import pytest
from moderated import chromium, served  # noqa: F401
from pages import chrome


@pytest.fixture
def browser(tmp_path):
    """A browser with a profile of its own, which must have nothing to complain about in the end."""
    driver = chrome(tmp_path / "profile")
    yield driver
    complaints = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    driver.quit()
    assert not complaints


def pytest_collection_modifyitems(items):
    """Without a browser on the machine these tests are skipped."""
    if shutil.which("chromedriver"):
        return
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason="needs chromium and chromium-driver"))
