"""The reply: a ranking in the words of the client, row numbers back as ids."""

import logging
from collections.abc import Sequence

import numpy as np

from winnow.core.candidates import Candidates, Ints
from winnow.core.time import iso
from winnow.data.ids import IdMap
from winnow.data.schema import Path
from winnow.features.recent import Last
from winnow.serving.kit import Kit
from winnow.serving.pipeline import Ranking
from winnow.serving.query import Query
from winnow.serving.request import Item, RankReply, Reason
from winnow.serving.sources import Source, Told, did
from winnow.serving.trace import Trace

_log = logging.getLogger(__name__)


def reply(ranking: Ranking, query: Query, kit: Kit, ids: IdMap, *, trace: Trace) -> RankReply:
    """What the client gets.

    Args:
        ranking: what the pipeline made.
        query: what was asked.
        kit: what it was served with.
        ids: to turn rows back into ids.
        trace: of the request.
    """
    damage = [{"stage": "release", "part": part, "effect": why} for part, why in kit.bundle.faults.items()]
    return RankReply(
        recommendation_id=query.recommendation_id,
        release=kit.bundle.release,
        declaration=kit.system.hash,
        arm=kit.arm,
        as_of=iso(ranking.as_of),
        known_user=query.known,
        items=_items(ranking.shown, query, kit, ids),
        degraded=[*trace.degraded, *damage],
    )


def _items(shown: Candidates, query: Query, kit: Kit, ids: IdMap) -> list[Item]:
    names = ids.ids(kit.system.labels.item.name, shown.rows)
    sources = kit.system.pipeline.sources
    why = reasons(shown, query, kit, ids) if query.reasons else [None] * len(shown)
    prices = shown.noted.get("price", np.zeros(len(shown), np.int64)).tolist()
    by = [[s.name for b, s in enumerate(sources) if mask >> b & 1] for mask in shown.sources.tolist()]
    columns = zip(names, shown.value.tolist(), by, why, prices, strict=True)
    return [
        Item(id=i, score=score, position=p, sources=s, reasons=r, price=price)
        for p, (i, score, s, r, price) in enumerate(columns, start=1)
    ]


def reasons(shown: Candidates, query: Query, kit: Kit, ids: IdMap) -> list[list[Reason]]:
    """Per item why it is there, the most telling reason first."""
    told: list[list[Told]] = [[] for _ in range(len(shown))]
    for bit, source in enumerate(kit.system.pipeline.sources):
        mine = np.flatnonzero(shown.sources >> bit & 1)
        why_each = _told(source, shown.rows[mine], query, kit) if len(mine) else []
        for place, why in zip(mine, why_each, strict=True):
            told[place].append(why)
    for item, why in _same(shown.rows, query, kit):
        told[item].append(why)
    for drawn in np.flatnonzero(shown.propensity < _CHANCE):
        told[drawn].append(Told("chance", "shown to learn whether people like it"))
    once = [sorted(dict.fromkeys(some), key=lambda t: _ORDER.index(t.kind)) for some in told]
    return [[_reason(t, kit, ids) for t in some] for some in once]


_CHANCE = 0.5  # below it an item was not the best for its slot
_ORDER = ("tie", "talk", "watched", "same", "near", "soon", "popular", "new", "taste", "chance", "source")


def _told(source: Source, rows: Ints, query: Query, kit: Kit) -> Sequence[Told]:
    try:
        return source.tell(rows, query, kit)
    except Exception:
        _log.warning("source %s gave no reasons", source.name, exc_info=True)
        return [Told("source", f"proposed by {source.name}")] * len(rows)


def _same(rows: Ints, query: Query, kit: Kit) -> list[tuple[int, Told]]:
    """Items that share a column with one of the user's last: the columns that a sequence feature carries along."""
    found = []
    for feature in (f for f in kit.bundle.plan.features if isinstance(f, Last)):
        past = kit.recent(feature.aggregates()[0], query)
        paths = [column for column in feature.columns if isinstance(column, Path)]
        for path in paths if len(past) else ():
            mine, theirs = (kit.view(query, r).column(path, r).reshape(len(r), -1) for r in (rows, past))
            equal = (mine[:, None, :, None] == theirs[None, :, None, :]) & (mine >= 0)[:, None, :, None]
            hit = equal.any(axis=(2, 3))
            name = path.columns[-1]
            alike = f"{name} in common with" if path.kind.storage == "categories" else f"same {name} as"
            for place in np.flatnonzero(hit.any(axis=1)):
                text = f"{alike} {{item}}, which you {did(feature.aggregates()[0].events)}"
                told = Told("same", text, int(past[hit[place].argmax()]), name)
                found.append((int(place), told))
    return found


def _reason(told: Told, kit: Kit, ids: IdMap) -> Reason:
    domain = told.domain or kit.system.labels.item.name
    name = ids.ids(domain, [told.item])[0] if told.item >= 0 else ""
    text = told.text.format(item=name)
    return Reason(kind=told.kind, text=text, item="" if told.domain else name, column=told.column)
