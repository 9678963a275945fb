"""`Project`: one object that wires settings, systems and stores together, behind the three faces of Winnow."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import polars as pl
from msgspec import to_builtins

from winnow import systems as box
from winnow.core.errors import Conflict, DeclarationError, NotFound, Problem, unknown
from winnow.core.loading import load
from winnow.core.settings import Settings
from winnow.core.system import System
from winnow.core.time import iso, now_us
from winnow.data.batch import Receipt
from winnow.data.expectations.edge import Edge
from winnow.data.history import History
from winnow.data.importers import Summary
from winnow.data.importers import load as load_data
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.quarantine import Quarantine
from winnow.data.schema import Events, Table
from winnow.encoders.encodings import MEDIA, Encodings
from winnow.evaluation.report import Record
from winnow.features.history import Budget
from winnow.features.plan import Plan
from winnow.monitoring.checks import Finding
from winnow.project import importing, pictures, shared
from winnow.releases.registry import Registry
from winnow.serving.effects import served_events

if TYPE_CHECKING:
    from winnow.continual.gate import Verdict
    from winnow.continual.guard import Watched
    from winnow.continual.run import Outcome
    from winnow.moderation.moderation import Moderation
    from winnow.project.features.sizing import Sizes
    from winnow.project.features.telling import Told
    from winnow.serving.runtime import Runtime

SYSTEMS = "systems"
SETTINGS = "winnow.toml"


class Project:
    """A folder with its settings, systems and stores; what commands, HTTP and notebooks stand on.

    Args:
        folder: made by `Project.init`.

    Raises:
        NotFound: `no-project` when the folder holds none.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        if not (self.folder / SYSTEMS).is_dir():
            fix = f"`winnow init {self.folder}` makes one; --project names another folder"
            raise NotFound(Problem("no-project", f"{self.folder.resolve()} is not a project", fix=fix))

    @classmethod
    def init(cls, folder: Path | str, system: str = "video_recommendation") -> "Project":
        """Make a project folder with one system from the box, to be edited.

        Raises:
            NotFound: `unknown-system`.
            Conflict: `project-exists`.
        """
        folder, source = Path(folder), box.source(system)
        if (folder / SYSTEMS / f"{system}.py").exists():
            problem = Problem("project-exists", f"{folder} has `{system}` already", fix="choose another folder")
            raise Conflict(problem)
        (folder / SYSTEMS).mkdir(parents=True, exist_ok=True)
        (folder / SYSTEMS / f"{system}.py").write_text(source)
        Settings.write_default(folder / SETTINGS)
        return cls(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what runs in the background and lets go of the stores; what is used afterwards is opened again."""
        for name in ("moderation", "runtime", "collection", "log", "registry"):
            if (opened := self.__dict__.pop(name, None)) is not None:
                opened.close()
        for name in ("intake", "quarantine"):  # they write to the log that has been closed
            self.__dict__.pop(name, None)

    # What is declared

    @cached_property
    def settings(self) -> Settings:
        """Deployment settings: the TOML file, overridden by environment variables."""
        return Settings.load(self.settings_file)

    @property
    def settings_file(self) -> Path:
        return self.folder / SETTINGS

    @property
    def system_files(self) -> list[Path]:
        return sorted((self.folder / SYSTEMS).glob("[!_]*.py"))

    @cached_property
    def systems(self) -> dict[str, System]:
        """The systems of the project by name.

        Raises:
            DeclarationError: every mistake in every file that cannot be loaded.
        """
        loaded: list[System] = []
        problems: list[Problem] = []
        for path in self.system_files:
            try:
                loaded.append(load(path))
            except DeclarationError as error:
                problems += error.problems
        if problems:
            raise DeclarationError(*problems)
        return {s.name: s for s in loaded}

    def system(self, name: str) -> System:
        """One system, checked.

        Raises:
            NotFound: `unknown-system`.
            DeclarationError: every mistake in its file.
        """
        if name not in self.systems:
            raise unknown("system", name, self.systems)
        self.systems[name].check()
        return self.systems[name]

    def source(self, name: str) -> str:
        """The text of a system's file."""
        return next(p.read_text() for p in self.system_files if load(p).name == self.system(name).name)

    @cached_property
    def tables(self) -> dict[str, Table]:
        return shared.tables(self.systems.values())

    @cached_property
    def events(self) -> dict[str, Events]:
        return shared.events(self.systems.values())

    # Stores

    @cached_property
    def log(self) -> SqliteLog:
        """The event log."""
        return SqliteLog(self.folder / "truth.db")

    @cached_property
    def intake(self) -> Intake:
        """The one edge through which rows and events come in."""
        return Intake(self.log, self.tables, self.events, expected=self.edge)

    @cached_property
    def edge(self) -> Edge:
        """What is expected of rows that come in, and what has been counted of them."""
        return Edge(self.folder, self.tables, self.events)

    @cached_property
    def history(self) -> History:
        """Events and row versions as Delta tables, for training and analysis."""
        systems = self.systems.values()
        served = [served_events(s, Plan.of(s.features, s.labels).numeric_names) for s in systems]
        return History(self.folder / "history", self.tables, self.events | {e.name: e for e in served})

    @cached_property
    def quarantine(self) -> Quarantine:
        """Refused rows."""
        return Quarantine(self.log.database)

    @cached_property
    def registry(self) -> Registry:
        """Releases, pointers and live weights."""
        return Registry(f"sqlite:///{self.folder / 'registry.db'}", self.folder / "releases")

    @cached_property
    def encodings(self) -> Encodings:
        """Vectors of texts and images, by encoder and content."""
        return Encodings(self.folder / "vectors", media=self.folder / MEDIA)

    @cached_property
    def collection(self) -> pictures.Collection:
        """The pictures and videos of the media folder."""
        return pictures.Collection(self)

    @property
    def budget(self) -> Budget:
        """How much memory events may take while features of the past are computed."""
        return Budget(self.settings.features.history_memory_mb << 20, self.folder / "scratch")

    # What people do

    def import_data(
        self, name: str, path: Path | str, *, mapping: Path | None = None, progress: bool | None = None
    ) -> Summary:
        """Read a data set into the log; doing it again adds nothing.

        Args:
            name: of the importer; `pictures` and `videos` take a folder or a Parquet file of them.
            path: folder or file.
            mapping: TOML file for the importer `mapping`.
            progress: whether to show a progress line; None for only on a terminal.

        Raises:
            NotFound: `unknown-importer`, `no-such-path`, `missing-file`.
        """
        if name in pictures.IMPORTERS:
            return self.collection.load(path, name=name, progress=progress)
        kinds = {n: self.intake.kinds(n) for n in (*self.tables, *self.events)}
        return load_data(importing.find(name, mapping, kinds), path, self.intake, progress=progress)

    def replay_quarantine(self) -> Receipt:
        """Check refused rows again; those that pass land."""
        return self.quarantine.replay(self.intake)

    def train(
        self, system: str, *, seed: int = 0, threads: int = 2, promote: bool = False, progress: Any = None
    ) -> "Outcome":
        """Train, evaluate and release the whole ladder; see `winnow.continual.run.train`."""
        from winnow.continual import run

        source = self.source(system)
        if not self.system(system).pipeline.ranks:
            from winnow.project.moderating import Findings

            Findings(self).follow()
        return run.train(
            self,
            self.system(system),
            source=source,
            seed=seed,
            threads=threads,
            promote=promote,
            progress=progress or _untold,
        )

    def evaluate(self, system: str, *, release: str | None = None, progress: Any = None) -> list[Record]:
        """Score every rung of a release again on its held-out part."""
        from winnow.continual.run import declared
        from winnow.training.train import evaluate

        found = self.registry.open(system, release or self.registry.newest(self.system(system).name))
        return evaluate(self, declared(found), found)

    def monitor(self, system: str) -> list[Finding]:
        """What the declared monitors find in what has been served: skew, drift, calibration."""
        from winnow.continual.monitor import check

        return check(self, self.system(system))

    def calibrate(self, system: str, *, last: timedelta = timedelta(days=1), promote: bool = False) -> "Verdict":
        """Fit the calibration of what serves again on the newest final labels; every other part stays."""
        from winnow.continual.calibrate import calibrate

        return calibrate(self, self.system(system), last=last, promote=promote)

    def update(self, system: str, *, last: timedelta = timedelta(days=1), promote: bool = False) -> "Verdict":
        """Let the network that serves go on learning, over what came since it was trained."""
        from winnow.continual.online import Options, update

        return update(self, self.system(system), options=Options(last=last), promote=promote)

    def watch(self, system: str) -> "Watched":
        """Run the monitors; the release before serves again when calibration is beyond its limit."""
        from winnow.continual.guard import watch

        return watch(self, self.system(system))

    def releases(self, system: str) -> list[dict[str, Any]]:
        """The releases of a system, newest first, with what they are used for."""
        pointers = self.registry.pointers(self.system(system).name)
        return [
            {
                "release": r.id,
                "serves": r.id == pointers.champion,
                "created_at": iso(r.created_at),
                **r.manifest.metrics,
            }
            for r in self.registry.releases(system)
        ]

    def promote(self, system: str, release: str | None = None, *, force: bool = False) -> "Verdict":
        """Let a release serve if the gate passes (or `force`)."""
        from winnow.continual import run

        return run.promote(self, self.system(system), release, force=force)

    def rollback(self, system: str, *, why: str = "") -> str:
        """Go back to the release that served before; returns its id."""
        pointers = self.registry.rollback(self.system(system).name, at=now_us(), who="cli", why=why)
        return str(pointers.champion)

    @cached_property
    def moderation(self) -> "Moderation":
        """Policies, decisions, review and appeals; the systems that judge content sit on the panel."""
        from winnow.project.moderating import opened

        return opened(self)

    @cached_property
    def runtime(self) -> "Runtime":
        """What answers rank requests, in this process."""
        from winnow.serving.runtime import Runtime

        return Runtime.open(self)

    def rank(self, system: str, *, user: str, **options: Any) -> dict[str, Any]:
        """Rank items for a user; options and reply are those of the HTTP route (`serving.request`)."""
        return self.runtime.rank(system, {"user": user, **options})

    def explain(self, system: str, *, user: str, **options: Any) -> dict[str, Any]:
        """Rank and tell every stage and every reason."""
        return self.runtime.explain(system, {"user": user, **options})

    def whatif(self, system: str, weights: Mapping[str, float], *, requests: int = 200, size: int | None = None) -> Any:
        """How lists would move under other weights: logged requests asked again; see `winnow.serving.whatif`.

        Raises:
            InputError: `unpredicted-head`, `weight-not-finite`, `no-weights`.
        """
        from winnow.serving.whatif import asked, whatif

        people = asked(self.frame(f"{system}_served"), self.system(system).labels.user_role, requests)
        return whatif(self.runtime.desk(system), people, weights, size=size)

    def search(self, system: str, **options: Any) -> dict[str, Any]:
        """Pictures like a picture; options and reply are those of the HTTP route (`serving.search`)."""
        from winnow.serving.search import parse

        reply: dict[str, Any] = to_builtins(self.runtime.search(system, parse(options)))
        return reply

    # What is known about features

    def features(self, system: str) -> pl.DataFrame:
        """One row per feature column of a system; see `winnow.project.features.catalogue.listed`."""
        from winnow.project.features import catalogue

        return catalogue.listed(self, system)

    def measure_features(self, system: str, *, sample: int = 1_000, progress: Any = None) -> pl.DataFrame:
        """Measures coverage, default share and cost of every feature on a sample of impressions, then lists them."""
        from winnow.project.features import catalogue, measuring

        found = self.system(system)
        facts = measuring.measured(self, found, found.features, sample=sample, progress=progress)
        measuring.keep(self, found, facts)
        return catalogue.listed(self, system)

    def feature(self, name: str, *, system: str | None = None, sample: int = 1_000) -> dict[str, Any]:
        """Everything about one feature: meaning, lineage, state, what it is like on real impressions, its uses."""
        from winnow.project.features import telling

        return telling.card(self, name, system=system, sample=sample)

    def feature_story(self, name: str, ids: Mapping[str, str], **options: Any) -> "Told":
        """What a feature of one key (role → id) was over time, and the events that made it: frames and a picture."""
        from winnow.project.features import telling

        return telling.story(self, name, ids, **options)

    def feature_sizes(self, system: str, *, users: int, items: int, events: int) -> "Sizes":
        """Predicted memory of the live tables of a system."""
        from winnow.project.features import sizing

        return sizing.sizes(self, system, users=users, items=items, events=events)

    def feature_skew(self, system: str, *, sample: int = 1_000, since: int | None = None) -> pl.DataFrame:
        """Served rows computed again from history: one row per feature, those that differ first."""
        from winnow.continual.skew import skew

        return skew(self, self.system(system), sample=sample, since=since)

    def words(self, system: str) -> dict[str, str]:
        """Item id → what people call it: its text column, if its table has one."""
        item = self.system(system).labels.item
        title = next((c for c, kind in item.columns.items() if kind.storage == "text" and not kind.media), None)
        rows = self.frame(item.name).select(item.key, title).iter_rows() if title else ()
        return {key: text for key, text in rows if text}

    # Tables back as frames

    def frame(self, name: str, *, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The events of a type, or the current rows of a table, with ids as their producers know them."""
        self.history.sync(self.log)
        found = self.history.decoded(name, self.log.ids)
        return found.select(columns) if columns else found


def _untold(what: str, done: float, total: float | None) -> None:
    """Progress that nobody watches."""
