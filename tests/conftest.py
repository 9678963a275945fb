"""What holds for all tests."""

import threading

import pytest


@pytest.fixture(scope="module", autouse=True)
def nothing_goes_on():
    """A project that a test file leaves running would get in the way of the files after it."""
    yield
    left = sorted({t.name for t in threading.enumerate()} & {"ingester", "refresh", "catch-up"})
    assert not left, f"close the project: {left} still run"
