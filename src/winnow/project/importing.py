"""Finds the importer that a name stands for."""

from collections.abc import Mapping
from pathlib import Path

from winnow.core.errors import InputError, Problem, unknown
from winnow.data.importers import BY_NAME, Importer, Mapped
from winnow.data.importers.pictures import Pictures, Videos
from winnow.data.schema import Kind
from winnow.simulation.importer import WORLDS

MAPPING = "mapping"
_KNOWN: dict[str, type[Importer]] = {**BY_NAME, **{world.name: world for world in WORLDS}}


def find(name: str, mapping: Path | None, kinds: Mapping[str, Mapping[str, Kind]]) -> Importer:
    """An importer by name; `mapping` reads any CSV or Parquet file as a TOML file says.

    Args:
        name: of the importer.
        mapping: the TOML file of the importer `mapping`.
        kinds: event type or table → column → kind, as the project declares them.

    Raises:
        NotFound: `unknown-importer`.
        InputError: `no-mapping`.
    """
    if name == MAPPING:
        if mapping is None:
            fix = "give --mapping FILE.toml; docs/howto/import.md has an example"
            raise InputError(Problem("no-mapping", "the importer `mapping` needs a mapping file", fix=fix))
        return Mapped.read(mapping, kinds)
    if name not in _KNOWN:
        raise unknown("importer", name, [*_KNOWN, MAPPING, Pictures.name, Videos.name])
    return _KNOWN[name]()
