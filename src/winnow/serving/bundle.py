"""The bundle: one release in memory, loaded once by a worker and dropped when its last request has ended."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from winnow.core.candidates import Floats
from winnow.core.declare import canonical
from winnow.core.errors import Conflict, Problem, Unavailable, WinnowError
from winnow.core.system import System
from winnow.encoders.base import Encoder
from winnow.features.batch import FeatureBatch
from winnow.features.embedding import Embed, embeds
from winnow.features.plan import Plan
from winnow.models.base import Scorer, load_scorer
from winnow.models.calibration import Calibration
from winnow.models.content import ContentScorer, load_content_scorer
from winnow.models.item_retrieval import ItemRetriever
from winnow.models.picture_retrieval import PictureRetriever
from winnow.releases.manifest import Manifest
from winnow.releases.release import Release
from winnow.serving.items import open_items
from winnow.serving.pictures import PictureFiles, open_pictures
from winnow.serving.vectors import VectorSpace, open_space

T = TypeVar("T")
HEURISTIC = "L0"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Rung:
    """A ranking model with its calibration.

    Args:
        name: `<rung>-<Model>`.
        scorer: the model.
        calibration: turns its scores into probabilities; None leaves them as they are.
    """

    name: str
    scorer: Scorer
    calibration: Calibration | None = None

    @property
    def heads(self) -> tuple[str, ...]:
        return self.scorer.heads

    @property
    def slow(self) -> bool:
        """Whether it is left out once the deadline has passed."""
        return not self.name.startswith(HEURISTIC)

    def score(self, features: FeatureBatch) -> Floats:
        """Calibrated predictions, float32 [N, H]."""
        raw = self.scorer.score(features)
        return raw if self.calibration is None else self.calibration.apply(raw, self.heads, features)


@dataclass(frozen=True, eq=False)
class Bundle:
    """One release in memory.

    Args:
        release: its id.
        declaration: hash of the declaration that it was built from.
        system: that declaration.
        plan: the features.
        rungs: ranking models, the one that serves first; the next ones stand in for it.
        content: judges content, calibrated; None where items are put in order.
        space: encoders and index; None without a retrieval model.
        artefacts: source → what training prepared for it.
        weights: head → weight at the time of the build.
        faults: part → why it could not be loaded.
    """

    release: str
    declaration: str
    system: System
    plan: Plan
    rungs: tuple[Rung, ...]
    content: ContentScorer | None = None
    space: VectorSpace | None = None
    artefacts: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def vectors(self) -> VectorSpace:
        """The vector space.

        Raises:
            Unavailable: `no-vectors` when the release has none that can be used.
        """
        if self.space is None:
            why = self.faults.get("retrieval", "the release has no retrieval model")
            raise Unavailable(Problem("no-vectors", f"release {self.release} cannot search by vectors: {why}"))
        return self.space

    @cached_property
    def encoders(self) -> Mapping[str, tuple[Encoder, ...]]:
        """Text column of who asks → the encoders whose vectors of it somebody reads."""
        user, found = self.system.labels.user.name, dict[str, tuple[Encoder, ...]]()
        for embed in embeds(part for part in self.system.parts() if isinstance(part, Embed)):
            if embed.of.table.name == user and len(embed.of.columns) == 1:
                found[embed.of.columns[0]] = (*found.get(embed.of.columns[0], ()), embed.encoder)
        return found

    @property
    def judge(self) -> ContentScorer:
        """What judges content.

        Raises:
            Unavailable: `no-judge-model` when the release has none that can be used.
        """
        if self.content is None:
            why = self.faults.get("ranking", "its system puts items in order")
            raise Unavailable(Problem("no-judge-model", f"release {self.release} cannot judge content: {why}"))
        return self.content


def load(
    release: Release,
    system: System,
    *,
    bad: Mapping[str, str] | None = None,
    pictures: PictureFiles | None = None,
) -> Bundle:
    """A release in memory.

    Args:
        release: from the registry.
        system: the declaration of the project, for a release that carries none.
        bad: files that are damaged → what is wrong with them. When given, parts that need such a file, or fail to
            load, are left out and listed in `faults`; when None, the first failure is raised.
        pictures: of the items, for systems that search by them.

    Raises:
        Conflict: `plan-differs` when the features were declared differently when the release was built.
        Unavailable: `release-corrupt` and what the parts raise.
    """
    return _Loading(release, system, bad, pictures).bundle()


class _Loading:
    """The steps of `load`."""

    def __init__(self, release: Release, system: System, bad: Mapping[str, str] | None, pictures: PictureFiles | None):
        # The working copy may be edited while the release serves: it counts only where the release brings no own.
        self.release, self.system, self.bad = release, release.system() or system, bad
        self.faults: dict[str, str] = {}
        self.pictures = pictures

    @cached_property
    def serving(self) -> Mapping[str, str]:
        """Which models serve."""
        return dict(self.release.manifest.models.get("serving", {}))

    @cached_property
    def plan(self) -> Plan:
        plan = Plan.of(self.system.features, self.system.labels)
        pinned = self.release.manifest.plan
        if pinned and canonical(pinned) != canonical(plan.to_data()):
            why = "its models would read other columns than those they were trained on"
            what = f"release {self.release.id} was built with other features than `{self.system.name}` declares now"
            raise Conflict(Problem("plan-differs", what, "", why, "run `winnow train`, or restore the declaration"))
        return plan

    def bundle(self) -> Bundle:
        manifest: Manifest = self.release.manifest
        return Bundle(
            self.release.id,
            manifest.declaration,
            self.system,
            self.plan,
            tuple(filter(None, map(self.rung, self.rung_names()))),
            None if self.system.pipeline.ranks else self.part("ranking", self.content),
            self.part("retrieval", self.space) if self.system.retrieval is not None else None,
            {s.name: self.part(f"sources/{s.name}", self.artefact, s) for s in self.system.pipeline.sources},
            manifest.weights,
            self.faults,
        )

    def part(self, name: str, make: Callable[..., T], *given: Any) -> T | None:
        """One part; without it, its reason in `faults`."""
        broken = [what for file, what in (self.bad or {}).items() if file.startswith(f"{name}/")]
        try:
            if broken:
                raise Unavailable(Problem("release-corrupt", broken[0]))
            return make(*given)
        except Exception as error:
            if self.bad is None:
                raise
            _log.error("release %s is served without %s", self.release.id, name, exc_info=True)
            reason = error.problems[0].what if isinstance(error, WinnowError) else f"{type(error).__name__}: {error}"
            self.faults[name] = reason
            return None

    def rung_names(self) -> list[str]:
        """The serving model first, then the heuristic; none where nothing is ranked."""
        if self.system.ranking is None or not self.system.pipeline.ranks:
            return []
        folder = self.release.folder / "ranking"
        known = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
        first = self.serving.get("ranking", known[-1] if known else "")
        return list(dict.fromkeys([first, *(n for n in known if n.startswith(HEURISTIC))]))

    def rung(self, name: str) -> Rung | None:
        return self.part(f"ranking/{name}", self._rung, name)

    def _rung(self, name: str) -> Rung:
        folder = self.release.folder / "ranking" / name
        return Rung(name, load_scorer(folder), Calibration.open(folder))

    def content(self) -> ContentScorer:
        # Without an encoder: an explanation that encodes a post without each of its words costs more than judging it.
        return load_content_scorer(self.release.folder / "ranking" / self.serving["ranking"])

    def space(self) -> VectorSpace:
        folder, labels = self.release.folder / "retrieval", self.system.labels
        name = self.serving.get("retrieval", "")
        encoder = str(self.release.manifest.models.get("encoder", self.release.id))
        seq = self.release.manifest.window.to_seq
        if self.system.retrieval and isinstance(self.system.retrieval.serving, PictureRetriever):
            return open_pictures(folder / name, folder / "index", encoder=encoder, seq=seq, files=self.pictures)
        if self.system.retrieval and isinstance(self.system.retrieval.serving, ItemRetriever):
            place, role = folder / name, labels.item_role
            return open_items(place, folder / "index", encoder=encoder, seq=seq, plan=self.plan, role=role)
        return open_space(
            folder / name, folder / "index", encoder=encoder, seq=seq, plan=self._read(),
            user_role=labels.user_role, item_role=labels.item_role,
        )  # fmt: skip

    def _read(self) -> Plan:
        """The features that the retriever reads: its own, or those of the system."""
        brought = self.system.retrieval.serving.reads if self.system.retrieval else ()  # type: ignore[attr-defined]
        return Plan.of(brought, self.system.labels) if brought else self.plan

    def artefact(self, source: Any) -> Any:
        folder = self.release.folder / "sources" / source.name
        return source.open(folder) if folder.is_dir() else None


def damaged(error: WinnowError, folder: Path) -> dict[str, str]:
    """The files of a release that `Registry.open` complained about, by their path in the folder."""
    found = {}
    for problem in error.problems:
        path = Path(problem.where)
        if path.is_relative_to(folder):
            found[path.relative_to(folder).as_posix()] = problem.what
    return found
