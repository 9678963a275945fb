"""Embeddings and similarities are the same in history, live and by the oracle, to the bit."""

from pathlib import Path

import numpy as np
from features_oracle import chunks_of
from features_posts import SECOND, START, WithVectors, labels, like, log, member, post, source
from test_features_parity import assert_same

from winnow.encoders.encodings import Encodings
from winnow.features.embedding import Embed, Similarity, embeds, encode_history, encode_rows
from winnow.features.history import HistoryState
from winnow.features.live import Caps, LiveReader, LiveWriter
from winnow.features.plan import Plan
from winnow.features.recent import Last
from winnow.features.view import Moments

FEATURES = [
    Embed(post.text, size=8),
    Similarity(Embed(post.text), Embed(member.bio), default=-1.0),
    Similarity(Embed(post.text), Last(like.post, by=member, k=3), pool="max"),
    Similarity(Embed(post.author.bio), Last(like.post, by=member, k=3)),
]


def test_embeddings_agree(tmp_path: Path) -> None:
    happened, plan = log(), Plan.of(FEATURES, labels)
    past, present = Encodings(tmp_path / "past"), Encodings(tmp_path / "present")
    encode_history(FEATURES, past, source(happened))
    for embed in embeds(FEATURES):
        present.ensure(embed.encoder, [])
    history, oracle = HistoryState(source(happened), encodings=past), WithVectors(happened, past)
    writer = LiveWriter(
        tmp_path / "live", plan.aggregates, [member, post], replay=lambda _: [], caps=Caps(rows=16, pairs=16)
    )
    reader = LiveReader(tmp_path / "live", encodings=present)
    chunks, different = chunks_of(happened), []
    for at in (START + 1, START + 25 * SECOND, START + 60 * SECOND, START + 100 * SECOND, START + 100 * SECOND + 1):
        fresh = [c for c in chunks if c.first_seq > writer.applied_seq and c.ints("known_at")[0] < at]
        for chunk in (c for c in fresh if c.kind == "row"):
            encode_rows(FEATURES, present, table=chunk.name, columns=chunk.columns)
        writer.apply(fresh)
        writer.advance(at)
        members, posts = (a.ravel() for a in np.meshgrid(np.arange(-1, 4), np.arange(-1, 6)))
        asked = Moments(np.array([at]), {"member": members, "post": posts})
        truth = plan.compute(asked, oracle)
        assert_same(plan.compute(asked, history), truth, "history")
        assert_same(reader.consistently(lambda state, a=asked: plan.compute(a, state)), truth, "live")
        different.append(truth.numeric.tobytes())
    assert len(set(different)) == 4  # likes and the rewrite change something, the moment of the rewrite itself nothing
