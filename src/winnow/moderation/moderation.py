"""`Moderation`: everything that one project needs to decide about content, wired together."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from winnow.core.errors import Conflict, Problem, unknown
from winnow.core.time import now_us, seconds, to_us
from winnow.encoders.base import Encode
from winnow.moderation.addresses import Fetcher
from winnow.moderation.appeals import Appeals
from winnow.moderation.bench import Bench, unjudged
from winnow.moderation.book import Book, Version
from winnow.moderation.config import Config
from winnow.moderation.deciding import Decider
from winnow.moderation.doors import OpenAI, Perspective
from winnow.moderation.held import Store
from winnow.moderation.judge import Judge, Panel
from winnow.moderation.known import Exact, Matcher
from winnow.moderation.labels import label_frame
from winnow.moderation.ledger import Ledger
from winnow.moderation.post import Post
from winnow.moderation.review import Review
from winnow.moderation.words import WordJudge

FOLDER = "moderation"


class Moderation:
    """The moderation of one project: policies, decisions, appeals, review.

    Args:
        folder: of the project; `moderation.toml` in it says how, `moderation/` holds the log.
        judge: who judges; by default as the file says, and `released`.
        released: judges over the systems of the project.
        clock: the present, microseconds UTC.

    Raises:
        InputError: `bad-moderation-file`.
    """

    def __init__(
        self, folder: Path | str, *, judge: Judge | None = None, released: Sequence[Judge] = (),
        clock: Callable[[], int] = now_us,
    ) -> None:  # fmt: skip
        self.folder = Path(folder)
        self.config = Config.load(self.folder)
        self.ledger = Ledger(self.folder / FOLDER, clock=clock)
        self.held = Store(self.folder / FOLDER / "held.db")
        self.book = Book(self.ledger)
        self.known = Exact(self.ledger)
        self.review = Review(self.ledger, self.book, held=self.held, how=self.config.review)
        self.appeals = Appeals(self.ledger, held=self.held, keep_days=self.config.review.keep_days)
        self._judge, self._released = judge, released

    @cached_property
    def judge(self) -> Judge:
        """Who judges posts.

        Raises:
            Conflict: `no-judge`.
            InputError: `bad-word-list`, `no-content-model`.
        """
        return self._judge or judge_of(self.config, self.folder, self._released)

    @cached_property
    def bench(self) -> Bench:
        """Judges and banks together."""
        return Bench(self.judge, [self.known, *banks_of(self.config, self.folder)])

    @cached_property
    def decider(self) -> Decider:
        """Decides and records."""
        return Decider(self.ledger, self.book, self.bench, held=self.held, review=self.config.review)

    def decide(self, posts: Sequence[Post]) -> list[dict[str, Any]]:
        """Decides about posts; see `Decider.decide`."""
        return self.decider.decide(posts)

    def activate(self, version: int, *, who: str, why: str = "", force: bool = False) -> Version:
        """Puts a policy in force; see `Book.activate`.

        Raises:
            Conflict: `harm-without-head`, when no judge knows one of its harms.
        """
        candidate = self.book.version(version)
        if missing := unjudged(candidate.policy, self.judge):
            what = f"no judge knows {', '.join(f'`{harm}`' for harm in missing)}"
            why_not = "posts would be held or demoted for what nobody can judge"
            fix = f"judges know {', '.join(self.judge.heads)}; take the harm out, or add a judge"
            raise Conflict(Problem("harm-without-head", what, "harms", why_not, fix))
        return self.book.activate(version, who=who, why=why, force=force)

    def add_known(self, key: str, harm: str, *, who: str, why: str = "") -> None:
        """Makes content known; see `Exact.add`.

        Raises:
            NotFound: `unknown-harm`, when the policy in force has no such harm and would pass the content by.
        """
        harms = self.book.in_force().policy.harms
        if harm not in harms:
            raise unknown("harm", harm, harms, where="harm")
        self.known.add(key, harm, who=who, why=why)

    def add_golden(self, post: Post, truth: dict[str, bool], *, who: str) -> str:
        """Puts a post with a known answer into the queue; see `Review.add_golden`."""
        judged = self.bench.consider([post], self.book.in_force().policy)[0]
        shown = {"scores": dict(judged.scores), "spans": [list(span) for span in judged.spans]}
        return self.review.add_golden(post, truth, shown=shown, who=who)

    def labels(self, *, after: int = 0) -> Any:
        """What reviewers found as a frame of events, as far as it can no longer be taken back; see `label_frame`."""
        until = self.ledger.clock() - to_us(seconds(self.config.review.undo_s))
        return label_frame(self.ledger, after=after, until=until)

    @property
    def perspective(self) -> Perspective:
        """The door in the shape of Perspective's API."""
        return Perspective(self.judge, self.config.doors)

    @property
    def openai(self) -> OpenAI:
        """The door in the shape of OpenAI's API."""
        active = self.book.active()
        return OpenAI(self.judge, self.config.doors, active.policy if active else None, Fetcher(self.config.addresses))

    def close(self) -> None:
        """Closes every file."""
        self.ledger.close()
        self.held.close()


def judge_of(config: Config, folder: Path, released: Sequence[Judge] = ()) -> Judge:
    """The judges that a file names and those of the project's systems, as a panel."""
    judges = list(released)
    if config.judge.words:
        judges.append(WordJudge.read(folder / config.judge.words))
    if config.judge.model:
        from winnow.moderation.trained import ContentJudge

        judges.append(ContentJudge.load(folder / config.judge.model, encode=_encode(config, folder)))
    if not judges:
        fix = 'winnow init . --system harmful_content, or moderation.toml: [judge] words = "words.toml"'
        raise Conflict(Problem("no-judge", "nobody is there to judge posts", "judge", fix=fix))
    return Panel(judges, config.judge.deadline_s)


def _encode(config: Config, folder: Path) -> Encode | None:
    """What makes sentence vectors; its ONNX file lies beside those of the project's other encoders."""
    if not config.judge.encoder:
        return None
    from winnow.encoders.minilm import MiniLM

    encoder = MiniLM()
    return encoder.open(folder / "vectors" / encoder.identity)


def banks_of(config: Config, folder: Path) -> list[Matcher]:
    """The banks of perceptual hashes that a file names."""
    if not config.judge.bank:
        return []
    from winnow.moderation.likeness import Likeness

    return [Likeness.open(folder / config.judge.bank, distance=config.judge.distance)]
