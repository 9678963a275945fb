"""Uploads of videos may be larger than anything else, and need the right to write."""

import pytest

from winnow.core.errors import WinnowError
from winnow.http.limits import Limits
from winnow.http.roles import READ, WRITE, demand


def scope(method, path):
    return {"type": "http", "method": method, "path": path}


def test_only_uploads_of_videos_have_their_limit():
    limits = Limits(5, 30, 200)
    assert limits.of(scope("PUT", "/v1/systems/clips/videos")) == 200
    assert limits.of(scope("GET", "/v1/systems/clips/videos")) == 5
    assert limits.of(scope("PUT", "/v1/systems/clips/pictures")) == 30
    assert Limits(500, 30, 200).of(scope("PUT", "/v1/systems/clips/videos")) == 500


def test_uploads_need_the_right_to_write_and_looking_that_to_read():
    put, get = (scope(method, "/v1/systems/clips/videos") for method in ("PUT", "GET"))
    demand("key", {WRITE}, put)
    demand("key", {READ}, get)
    for roles, asked in (({READ}, put), ({WRITE}, get)):
        with pytest.raises(WinnowError):
            demand("key", roles, asked)
