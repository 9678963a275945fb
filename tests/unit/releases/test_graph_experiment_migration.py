"""A registry of the first migration gets the column of experiments, and keeps what it holds."""

import json

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from winnow.core.errors import InputError
from winnow.releases.registry import Registry
from winnow.releases.store import MIGRATIONS


def test_weights_of_an_older_registry_stay_and_may_get_an_experiment(tmp_path):
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    engine, config = create_engine(url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        row = {
            "system": "feed",
            "version": 1,
            "head_weights": json.dumps({"like": 2.0}),
            "at": 5,
            "who": "ada",
            "why": "",
        }
        connection.execute(text("INSERT INTO weights VALUES (:system, :version, :head_weights, :at, :who, :why)"), row)
        connection.execute(text("INSERT INTO pointer (system, weights_version) VALUES ('feed', 1)"))
    engine.dispose()
    registry = Registry(url, tmp_path / "releases")
    assert registry.weights("feed").values == {"like": 2.0}
    assert registry.weights("feed").experiment is None
    trial = {"name": "t", "weights": {"b": {"like": 3.0}}}
    made = registry.set_experiment("feed", trial, declared={}, at=6, who="ada")
    assert (made.version, made.values) == (2, {"like": 2.0})
    assert registry.weights("feed").experiment == trial
    assert registry.pointers("feed").weights_version == 2
    assert registry.set_experiment("feed", None, declared={}, at=7, who="ada").experiment is None
    with pytest.raises(InputError, match="weight-not-finite"):
        registry.set_experiment("feed", {"weights": {"b": {"like": float("inf")}}}, declared={}, at=8, who="ada")
    registry.close()
