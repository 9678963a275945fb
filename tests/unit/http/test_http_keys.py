"""API keys: only hashes on disk, changes count within a second."""

import pytest

from winnow.core.errors import Conflict, NotFound
from winnow.http import keys


def test_a_key_is_known_and_not_written_down(tmp_path):
    key = keys.create(tmp_path, "shop")
    assert keys.Keys(tmp_path).holder(key).name == "shop"
    text = (tmp_path / keys.FILE).read_text()
    assert key not in text
    assert key.removeprefix("winnow_") not in text
    assert (tmp_path / keys.FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("given", "code"), [("", "missing-key"), ("winnow_x", "unknown-key")])
def test_other_keys_are_refused(tmp_path, given, code):
    keys.create(tmp_path, "shop")
    with pytest.raises(keys.Unauthorised) as told:
        keys.Keys(tmp_path).holder(given)
    assert (told.value.code, told.value.status) == (code, 401)


def test_a_running_server_sees_new_and_revoked_keys(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "_RECHECK_S", 0.0)
    server = keys.Keys(tmp_path)
    first, second = keys.create(tmp_path, "a"), keys.create(tmp_path, "b")
    assert (server.holder(first).name, server.holder(second).name) == ("a", "b")
    keys.revoke(tmp_path, "a")
    with pytest.raises(keys.Unauthorised):
        server.holder(first)
    assert server.holder(second).name == "b"
    assert keys.names(tmp_path) == ["b"]


def test_names_are_unique_and_must_exist(tmp_path):
    keys.create(tmp_path, "shop")
    with pytest.raises(Conflict, match="key-exists"):
        keys.create(tmp_path, "shop")
    with pytest.raises(NotFound, match="did you mean `shop`"):
        keys.revoke(tmp_path, "shp")
