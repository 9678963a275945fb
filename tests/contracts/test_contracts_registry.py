"""What any database behind the registry must do; a new one subclasses `RegistryContract` with its `url`."""

import pytest
from sqlalchemy import inspect

from winnow.core.errors import Conflict, InputError, NotFound, Unavailable
from winnow.releases.manifest import Manifest, Window
from winnow.releases.registry import Pointers, Registry
from winnow.releases.release import build
from winnow.releases.tables import metadata


class RegistryContract:
    @pytest.fixture
    def url(self, tmp_path):
        raise NotImplementedError

    @pytest.fixture
    def registry(self, url, tmp_path):
        found = Registry(url, tmp_path / "releases")
        yield found
        found.close()

    def add(self, registry, system="feed", created_at=1):
        with build(registry.root, system) as draft:
            (draft.folder / "model").write_text(f"{system} {created_at}")
            release = draft.finish(Manifest(system, "d1", created_at, Window(0, 1)))
        registry.register(release, at=created_at)
        return release.id

    def test_before_anything_nothing_serves(self, registry):
        assert registry.pointers("feed") == Pointers(None, None, 0)
        assert registry.releases() == []
        with pytest.raises(NotFound, match="winnow train"):
            registry.champion("feed")

    def test_releases_are_listed_newest_first(self, registry):
        ids = [self.add(registry, created_at=t) for t in (1, 2, 3)]
        other = self.add(registry, "search")
        assert [r.id for r in registry.releases("feed")] == ids[::-1]
        assert {r.id for r in registry.releases()} == {*ids, other}
        assert registry.releases("feed")[0].manifest.window == Window(0, 1)
        assert registry.newest("feed") == ids[-1]
        with pytest.raises(NotFound, match="winnow train") as error:
            registry.newest("ads")
        assert error.value.code == "no-release"

    def test_registering_again_changes_nothing(self, registry):
        first = self.add(registry)
        registry.promote("feed", first, at=1, who="ada")
        assert self.add(registry) == first
        assert len(registry.releases("feed")) == 1
        assert registry.champion("feed") == first

    def test_promote_moves_the_pointer_and_is_remembered(self, registry):
        a, b = self.add(registry, created_at=1), self.add(registry, created_at=2)
        registry.promote("feed", a, at=10, who="ada", why="first")
        found = registry.promote("feed", b, at=20, who="gate", why="AUC up", expected=a)
        assert found == registry.pointers("feed") == Pointers(b, None, 0)
        assert registry.open("feed").id == b
        assert registry.open("feed", a).path("model").read_text() == "feed 1"
        assert [(p.action, p.release, p.previous, p.at, p.who, p.why) for p in registry.history("feed")] == [
            ("promote", a, None, 10, "ada", "first"), ("promote", b, a, 20, "gate", "AUC up"),
        ]  # fmt: skip

    def test_a_decision_against_an_older_champion_is_refused(self, registry):
        a, b, c = (self.add(registry, created_at=t) for t in (1, 2, 3))
        registry.promote("feed", a, at=1, who="ada")
        registry.promote("feed", b, at=2, who="ada")
        with pytest.raises(Conflict) as error:
            registry.promote("feed", c, at=3, who="gate", expected=a)
        assert error.value.code == "champion-changed"
        assert registry.champion("feed") == b
        assert len(registry.history("feed")) == 2

    def test_rollback_goes_back_step_by_step(self, registry):
        a, b, c = (self.add(registry, created_at=t) for t in (1, 2, 3))
        for t, release in enumerate((a, b, c, a)):
            registry.promote("feed", release, at=t, who="ada")
        assert registry.rollback("feed", at=5, who="ada", why="errors").champion == c
        assert registry.rollback("feed", at=6, who="ada").champion == b
        registry.promote("feed", c, at=7, who="ada")
        assert registry.rollback("feed", at=8, who="ada").champion == b
        assert registry.rollback("feed", at=9, who="ada").champion == a
        with pytest.raises(Conflict) as error:
            registry.rollback("feed", at=10, who="ada")
        assert error.value.code == "nothing-before"
        assert registry.champion("feed") == a

    def test_a_shadow_does_not_touch_the_champion(self, registry):
        a, b = self.add(registry, created_at=1), self.add(registry, created_at=2)
        registry.promote("feed", a, at=1, who="ada")
        assert registry.shadow("feed", b, at=2, who="ada") == Pointers(a, b, 0)
        assert registry.shadow("feed", None, at=3, who="ada") == Pointers(a, None, 0)
        assert [p.action for p in registry.history("feed")] == ["promote", "shadow", "shadow"]

    def test_unknown_releases_and_those_of_other_systems_are_refused(self, registry):
        other = self.add(registry, "search")
        for act in (
            lambda: registry.promote("feed", other, at=1, who="ada"),
            lambda: registry.shadow("feed", "0" * 16, at=1, who="ada"),
            lambda: registry.open("feed", other),
        ):
            with pytest.raises(NotFound) as error:
                act()
            assert error.value.code == "unknown-release"
        assert registry.history("feed") == []

    def test_systems_do_not_meet(self, registry):
        a, b = self.add(registry), self.add(registry, "search")
        registry.promote("feed", a, at=1, who="ada")
        registry.promote("search", b, at=2, who="ada")
        assert (registry.champion("feed"), registry.champion("search")) == (a, b)
        assert len(registry.history("feed")) == 1

    def test_live_weights_have_versions(self, registry):
        assert registry.weights("feed") is None
        registry.set_weights("feed", {"click": 1.0, "like": 4.0}, at=1, who="ada")
        registry.set_weights("feed", {"click": 2.0}, at=2, who="bob", why="fewer likes")
        assert registry.pointers("feed").weights_version == 2
        newest, first = registry.weights("feed"), registry.weights("feed", 1)
        assert newest is not None
        assert first is not None
        assert (newest.version, newest.values, newest.who) == (2, {"click": 2.0}, "bob")
        assert first.values == {"click": 1.0, "like": 4.0}
        assert registry.weights("feed", 9) is None
        with pytest.raises(InputError) as error:
            registry.set_weights("feed", {"click": float("nan")}, at=3, who="ada")
        assert error.value.code == "weight-not-finite"
        assert len(registry.weights_history("feed")) == 2

    def test_another_process_sees_every_change(self, registry, url):
        other = Registry(url, registry.root)
        a = self.add(registry)
        registry.promote("feed", a, at=1, who="ada")
        assert other.pointers("feed").champion == a
        other.set_weights("feed", {"click": 1.0}, at=2, who="bob")
        assert registry.pointers("feed").weights_version == 1
        other.close()

    def test_migrations_make_the_tables_of_the_code(self, registry):
        found = inspect(registry._store.engine)
        for table in metadata.sorted_tables:
            columns = {c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(table.name)}
            assert columns == {c.name: (str(c.type), c.nullable) for c in table.columns}
            assert {i["name"] for i in found.get_indexes(table.name)} == {i.name for i in table.indexes}


class TestSqlite(RegistryContract):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/meta.db"


def test_a_folder_that_does_not_exist_is_a_clear_error(tmp_path):
    with pytest.raises(Unavailable) as error:
        Registry(f"sqlite:///{tmp_path}/none/meta.db", tmp_path)
    assert error.value.code == "registry-unreachable"


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path):
    (tmp_path / "meta.db").write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(Unavailable, match="not a database") as error:
        Registry(f"sqlite:///{tmp_path}/meta.db", tmp_path)
    assert error.value.code == "registry-unreachable"


def test_a_full_disk_is_a_clear_error_and_changes_nothing(tmp_path):
    registry = Registry(f"sqlite:///{tmp_path}/meta.db", tmp_path)
    registry.set_weights("feed", {"click": 1.0}, at=1, who="ada")
    with registry._store.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="disk is full"):
        registry.set_weights("feed", {f"head{i}": 1.0 for i in range(5_000)}, at=2, who="ada")
    assert registry.pointers("feed").weights_version == 1
    registry.close()
