"""What each way of hiding costs, with the normaliser and without: the words that a model itself marks are disguised."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import harm_data
from benchmarks.harm import THREADS, best_threshold, encoded, folds, shown

from winnow.media.normalise import Normal
from winnow.models.base import Run
from winnow.models.content import Content, ContentModel, ContentScorer, Labelled, load_content_scorer
from winnow.models.content_fusion import EarlyFusion
from winnow.models.content_ngrams import NGrams

Draw = np.random.Generator
WORDS = 3  # the heaviest spans of a post that are disguised
_LOOKALIKES = dict(zip("aceiopsxyhjd", "асеіорѕхуһјԁ", strict=True))
_SIGNS = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "l": "1"}
_HIDDEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad"


def homoglyph(word: str, rng: Draw) -> str:
    """Half of the letters that have one as a letter of another script, else full-width or mathematical."""
    changed = "".join(_LOOKALIKES[c] if c in _LOOKALIKES and rng.random() < 0.5 else c for c in word.lower())
    base = 0xFF41 if rng.random() < 0.5 else 0x1D41A
    return (
        changed
        if changed != word.lower()
        else "".join(chr(base + ord(c) - 97) if "a" <= c <= "z" else c for c in changed)
    )


def zero_width(word: str, rng: Draw) -> str:
    """Something that shows nothing after every letter."""
    return "".join(c + _HIDDEN[rng.integers(len(_HIDDEN))] for c in word)


def leet(word: str, rng: Draw) -> str:
    """Half of the letters that have one as a digit or sign, one at least."""
    at = [i for i, c in enumerate(word.lower()) if c in _SIGNS]
    chosen = {i for i in at if rng.random() < 0.5}
    chosen |= {int(rng.choice(at))} if at and not chosen else set()
    return "".join(str(rng.choice(list(_SIGNS[c.lower()]))) if i in chosen else c for i, c in enumerate(word))


def spacing(word: str, rng: Draw) -> str:
    """Letter by letter."""
    return str(rng.choice([" ", ".", "-", "_", "*"])).join(word)


def bidi(word: str, rng: Draw) -> str:
    """Backwards, and shown forwards."""
    return f"\u202e{word[::-1]}\u202c"


def repetition(word: str, rng: Draw) -> str:
    """One letter three to six times."""
    at = int(rng.integers(len(word)))
    return word[:at] + word[at] * int(rng.integers(3, 7)) + word[at + 1 :]


def zalgo(word: str, rng: Draw) -> str:
    """Two to five marks on every letter."""
    return "".join(c + "".join(chr(m) for m in rng.integers(0x300, 0x370, rng.integers(2, 6))) for c in word)


ATTACKS: tuple[Callable[[str, Draw], str], ...] = (homoglyph, zero_width, leet, spacing, bidi, repetition, zalgo)


def attacked(text: str, spans: list[tuple[int, int]], attack: Callable[[str, Draw], str], rng: Draw) -> str:
    """A text whose words inside the spans are disguised."""
    out, at = [], 0
    for start, end in sorted(spans):
        inner = " ".join(
            attack(w, rng) if len(w) > 2 and w.isalpha() else w for w in text[max(start, at) : end].split(" ")
        )
        out += [text[at:start], inner]
        at = max(end, at)
    return "".join([*out, text[at:]])


def measured() -> dict[str, Any]:
    """Recall of hate and offence at one threshold, of clean and of attacked posts."""
    posts = harm_data.davidson()
    part = folds(posts.more["class"], 10)
    abuse = {"abuse": 1 - posts.labels["neither"]}
    content = encoded(posts.texts)
    rows = Labelled(content, abuse)
    raw = Labelled(untouched(posts.texts), abuse)
    models: dict[str, tuple[ContentModel, Labelled]] = {
        "L1": (NGrams(), rows), "L2": (EarlyFusion(members=1, epochs=8), rows), "L1 without": (NGrams(), raw),
    }  # fmt: skip
    hits = np.flatnonzero((part == 0) & (abuse["abuse"] == 1))
    lines: list[dict[str, Any]] = [{"attack": name} for name in ("none", *(a.__name__ for a in ATTACKS))]
    variants: list[list[str]] = []
    for name, (model, taught) in models.items():
        with tempfile.TemporaryDirectory() as folder:
            model.fit(taught.take(part > 1), taught.take(part == 1), Run(Path(folder), threads=THREADS))
            scorer = load_content_scorer(Path(folder), threads=THREADS)
            variants = variants or disguised(scorer, content.take(hits))
            valid = taught.take(part == 1)
            threshold = best_threshold(scorer.score(valid.content)[:, 0], valid.labels["abuse"])
            for line, texts in zip(lines, variants, strict=True):
                given = untouched(texts) if name == "L1 without" else encoded(texts) if name == "L2" else Content(texts)
                line[name] = round(float((scorer.score(given)[:, 0] >= threshold).mean()), 4)
    shown("recall under attack", lines)
    cost = {line["attack"]: {n: round(100 * (lines[0][n] - line[n]), 2) for n in models} for line in lines[1:]}
    worst = max(max(c["L1"], c["L2"]) for c in cost.values())
    return {"recall": lines, "cost": cost, "posts": len(hits), "ours": worst, "unit": "points of recall, worst attack",
            "peer": max(c["L1 without"] for c in cost.values()), "target": 2.0}  # fmt: skip


def disguised(scorer: ContentScorer, content: Content) -> list[list[str]]:
    """The posts as they are, then under each attack."""
    marked = [sorted(row, key=lambda s: -s.weight)[:WORDS] for row in scorer.spans(content, least=0.0)]
    places = [[(s.start, s.end) for s in row] for row in marked]
    out = [list(content.texts)]
    for attack in ATTACKS:
        rng = np.random.default_rng(0)
        out.append([attacked(t, p, attack, rng) for t, p in zip(content.texts, places, strict=True)])
    return out


def untouched(texts: list[str]) -> Content:
    """Posts whose texts are only made small."""
    posts = Content(texts)
    posts.__dict__["normal"] = [Normal(t.lower(), np.arange(len(t.lower()) + 1, dtype=np.int32)) for t in texts]
    return posts
