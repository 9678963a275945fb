"""`winnow moderate`: a file of posts, and the same file with what was decided about each."""

from pathlib import Path
from typing import TYPE_CHECKING

from winnow.cli.options import HERE, Json, ProjectFolder

if TYPE_CHECKING:
    from winnow.moderation.bench import Bench
    from winnow.moderation.files import Decide
    from winnow.moderation.moderation import Moderation
    from winnow.moderation.policy import Policy


def moderate(
    file: Path, *, out: Path | None = None, text: str = "text", id: str = "", record: bool = False,
    policy: Path | None = None, words: Path | None = None, project: ProjectFolder = HERE, json: Json = False,
) -> None:  # fmt: skip
    """Decide about every row of a CSV, JSONL or Parquet file, and write the rows with the decisions.

    Args:
        file: The posts.
        out: Where they go; beside the file, with `.decided` in its name, when left out.
        text: Column of the texts. Columns `author`, `language` and `country` count too.
        id: Column of request ids, for --record.
        record: Write every decision to the project's log, as the service does.
        policy: A policy in TOML; the project's policy in force when left out.
        words: A word list in TOML; the project's judges when left out.
    """
    from winnow.cli.printing import out as console
    from winnow.cli.printing import print_json, progress
    from winnow.moderation import files

    target = out or file.with_name(f"{file.stem}.decided{file.suffix}")
    bench, decide = _decider(project, policy, words, record=record)
    with progress(quiet=json) as bar:
        tally = files.moderate(
            file, target, decide, heads=bench.judge.heads, text=text, id=id,
            report=lambda rows: bar("posts", rows, None),
        )  # fmt: skip
    if json:
        print_json({"file": str(target), **vars(tally)})
        return
    counts = ", ".join(f"{n:,} {action}" for action, n in sorted(tally.actions.items(), key=lambda pair: -pair[1]))
    console.print(f"{tally.rows:,} posts: {counts or 'none'}. Written to {target}")


def _decider(project: Path, policy: Path | None, words: Path | None, *, record: bool) -> "tuple[Bench, Decide]":
    """The judges, and what decides: with a policy and a list of words of their own no project is needed."""
    from winnow.moderation.bench import Bench
    from winnow.moderation.files import considered
    from winnow.moderation.words import WordJudge

    if policy is not None and words is not None and not record:
        bench = Bench(WordJudge.read(words))
        return bench, considered(bench, _read(policy))
    found = _moderation(project)
    if record:
        return found.bench, found.decide
    bench = Bench(WordJudge.read(words), [found.known]) if words else found.bench
    return bench, considered(bench, _read(policy) if policy else found.book.in_force().policy)


def _moderation(project: Path) -> "Moderation":
    from winnow.project import Project

    return Project(project).moderation


def _read(path: Path) -> "Policy":
    """A policy whose every rule has a number: there is no sample here that wishes could be resolved on."""
    from winnow.core.errors import InputError, Problem
    from winnow.moderation.parsing import parse_toml

    try:
        found = parse_toml(path.read_text(encoding="utf-8"), file=path.name)
    except (OSError, UnicodeDecodeError) as error:
        what = f"the policy cannot be read: {type(error).__name__}"
        raise InputError(Problem("bad-policy", what, path.name, fix="name a TOML file")) from None
    if found.unresolved:
        what = f"rules without a number: {', '.join(found.unresolved)}"
        fix = "say at = …, or store the policy with a labelled sample"
        raise InputError(Problem("policy-unresolved", what, path.name, fix=fix))
    return found
