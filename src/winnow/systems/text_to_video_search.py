"""Text to video search: the videos that a text asks for, found by their words and by their meaning."""

import winnow as w
from winnow import days, hours, labels, minutes, ms, policy, slate, sources, words

# 1. Frame ---------------------------------------------------------------------------------------
frame = w.Frame(
    business="people find the video they have in mind, and watch it",
    predict="P(click) and P(long view) of a video shown for a text",
    p99=ms(200), throughput_per_s=200, freshness=minutes(1), retention=days(365),
    guardrails={"zero_results": "+1 %", "abandonment": "+2 %"},
    non_goals=("results that depend on who asks", "search by picture"),
)  # fmt: skip

# 2. Data: a text asks, videos answer --------------------------------------------------------------
query = w.Table("query", key="query_id", columns={
    "text": w.personal(w.text), "language": w.category, "words": w.number(at_least=0),
})  # fmt: skip
video = w.Table("video", key="video_id", columns={
    "title": w.text, "description": w.text, "transcript": w.text, "tags": w.categories, "speaker": w.category,
    "language": w.category, "copy_of": w.category, "duration_s": w.number(at_least=0), "published_at": w.time,
    "file": w.video, "available": w.flag, "unsafe": w.flag,
})  # fmt: skip
both = {"query": query, "video": video}
seen = w.Events("impression", refs=both, fields={"surface": w.category, "position": w.number(at_least=0)})
watch = w.Events("watch", refs=both, fields={"seconds": w.number(at_least=0), "long": w.flag})
click = w.Events("click", refs=both)
long = watch.long.equals(1)

outcomes = w.Labels(of=seen, within=hours(1), heads={
    "click": labels.any(click), "long_view": labels.any(watch, long),
})  # fmt: skip

# 3. Features: what each source says, how near the meanings are, what came of it before --------------
meaning = w.MiniLM()
asked, titled, told = (w.embed(of, encoder=meaning, size=384) for of in (query.text, video.title, video.description))
BOTH = ("Lexical", "Nearest")
frames = w.embed(video.file, encoder=w.Frames(frames=8), size=8 * w.ColourGrid().size)

features = [
    *map(w.score_of, BOTH), *map(w.rank_of, BOTH), w.similarity(asked, titled), w.similarity(asked, told),
    w.column(query.words), w.column(video.duration_s), w.age(video.published_at), w.position(seen.position),
    w.count(seen, by=(query, video)), w.rate(click, over=seen, by=(query, video), prior=(0.5, 5)),
    w.rate(click, over=seen, by=video, prior=(2, 20)), w.rate(watch, long, over=seen, by=video, prior=(1, 20)),
]  # fmt: skip

# 4. Model: what is near, and what both sources come to ------------------------------------------------
retrieval = w.Ladder(
    L0=w.SameSpace(asked, items=(titled, told)), L1=w.TextVideo(asked, titled, embedding_size=384),
    L2=w.TextVideo(asked, (frames, titled, told), embedding_size=256),
)  # fmt: skip
ranking = w.Ladder(
    L0=w.ReciprocalRank(BOTH), L1=w.CalibratedScores(BOTH), L2=w.GradientBoosting(), calibrate="platt",
)  # fmt: skip

# 5. Serve -----------------------------------------------------------------------------------------
spelt = {video.title: 3, video.tags: 2, video.speaker: 2, video.description: 1, video.transcript: 0.5}
pipeline = w.Pipeline(
    sources=[words.Lexical(query.text, fields=spelt, language=video.language, limit=300), sources.Nearest(limit=300)],
    value=w.Weighted(click=1.0, long_view=2.0),
    slate=[slate.Fade(video.published_at, half_life=days(365), floor=0.9), slate.Collapse(video.copy_of)],
    policy=[policy.Available(video.available), policy.Unless(video.unsafe)],
    candidates=500, size=20,
)  # fmt: skip

# 6. Learn -----------------------------------------------------------------------------------------
system = w.System(
    "text_to_video_search", frame, outcomes, features, retrieval=retrieval, ranking=ranking, pipeline=pipeline,
    monitors=[w.Skew(at_most=0), w.Drift(), w.Calibration(ece=0.05)],
    retrain=w.Retrain(every=days(7), promote_if={"ne": "not worse", "ece": "not worse"}),
)  # fmt: skip
