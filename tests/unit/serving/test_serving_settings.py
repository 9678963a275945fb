"""Settings: the file, the environment, every mistake at once."""

import pytest

from winnow.core.errors import InputError
from winnow.core.settings import Settings


def test_defaults_without_a_file(tmp_path):
    assert Settings.load(tmp_path / "winnow.toml", {}) == Settings()


def test_the_environment_beats_the_file(tmp_path):
    path = tmp_path / "winnow.toml"
    path.write_text("[server]\nport = 1\nworkers = 3\n")
    settings = Settings.load(path, {"WINNOW_SERVER_PORT": "2", "WINNOW_INGEST_POLL_MS": "7.5", "WINNOW_DATA": "x"})
    assert (settings.server.port, settings.server.workers, settings.ingest.poll_ms) == (2, 3, 7.5)


def test_the_default_file_names_every_setting_and_changes_none(tmp_path):
    path = tmp_path / "winnow.toml"
    Settings.write_default(path)
    assert Settings.load(path, {}) == Settings()
    path.write_text(path.read_text().replace("\n# ", "\n"))
    assert Settings.load(path, {}) == Settings()
    assert "body_limit_bytes" in path.read_text()


def test_all_mistakes_are_told_at_once(tmp_path):
    path = tmp_path / "winnow.toml"
    path.write_text('[server]\nprt = 1\nworkers = 0\nport = "x"\n[srver]\n')
    with pytest.raises(InputError) as told:
        Settings.load(path, {"WINNOW_SERVER_HOTS": "x"})
    codes = sorted((p.code, p.where) for p in told.value.problems)
    assert codes == [
        ("bad-setting", "winnow.toml: server.port"),
        ("bad-setting", "winnow.toml: server.workers"),
        ("unknown-setting", "WINNOW_SERVER_HOTS"),
        ("unknown-setting", "winnow.toml: server.prt"),
        ("unknown-setting", "winnow.toml: srver"),
    ]
    assert any("did you mean `port`" in p.fix for p in told.value.problems)


def test_a_file_that_is_not_toml(tmp_path):
    (tmp_path / "winnow.toml").write_text("[server\n")
    with pytest.raises(InputError, match="bad-settings-file"):
        Settings.load(tmp_path / "winnow.toml", {})


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.5", False)],
)
def test_auth_can_be_off_on_loopback_only(tmp_path, host, allowed):
    environment = {"WINNOW_SERVER_AUTH": "off", "WINNOW_SERVER_HOST": host}
    if allowed:
        assert Settings.load(tmp_path / "winnow.toml", environment).open_to_all
    else:
        with pytest.raises(InputError, match="auth-off-in-public"):
            Settings.load(tmp_path / "winnow.toml", environment)
