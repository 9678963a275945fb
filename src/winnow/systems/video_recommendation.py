"""Video recommendation: the videos of the home page, ordered for one person."""

import winnow as w
from winnow import days, filters, hours, labels, minutes, ms, policy, slate, sources

# 1. Frame ---------------------------------------------------------------------------------------
frame = w.Frame(
    business="people who come back because the videos were worth their time",
    predict="P(click), P(long view), P(like) and watch time of a shown video, given the person and the moment",
    p99=ms(200), throughput_per_s=500, freshness=minutes(1), retention=days(365),
    guardrails={"hides_per_1k": "+1 %", "author_concentration": "+5 %"},
    non_goals=("search", "comments on videos"),
)  # fmt: skip

# 2. Data ----------------------------------------------------------------------------------------
user = w.Table("user", key="user_id", columns={
    "activity": w.category, "register_days": w.number(at_least=0), "follows": w.category, "fans": w.category,
    "friends": w.category,
})  # fmt: skip
video = w.Table("video", key="video_id", columns={
    "title": w.text, "author": w.category, "tags": w.categories, "kind": w.category, "available": w.flag,
    "duration_s": w.number(at_least=0), "uploaded_at": w.time,
})  # fmt: skip
both = {"user": user, "video": video}
seen = w.Events("impression", refs=both, fields={"surface": w.category, "position": w.number(at_least=0)})
watch = w.Events("watch", refs=both, fields={"seconds": w.number(at_least=0), "long": w.flag})
click, like, follow, comment, share, hide = (
    w.Events(name, refs=both) for name in ("click", "like", "follow", "comment", "share", "hide")
)

outcomes = w.Labels(of=seen, within=hours(1), heads={
    "click": labels.any(click), "long_view": labels.any(watch, watch.long.equals(1)), "like": labels.any(like),
    "watch_s": labels.sum(watch.seconds),
})  # fmt: skip

# 3. Features: one definition, as of the impression in training, as of now in serving --------------
long = watch.long.equals(1)


def record(key: w.Key) -> list[w.Feature]:
    """What has come of showing and watching the videos of a key (or, for a person, what they made of videos)."""
    return [
        w.count(seen, by=key, window=[days(1), w.FOREVER]), w.count(watch, by=key, window=[days(7), w.FOREVER]),
        w.rate(click, over=seen, by=key, window=[days(1), w.FOREVER], prior=(9, 20)),
        w.rate(watch, long, over=watch, by=key, window=[days(1), w.FOREVER], prior=(9, 20)),
        w.rate(like, over=watch, by=key, prior=(0.4, 20)), w.mean(watch.seconds, by=key, prior=(20, 5)),
    ]  # fmt: skip


def affinity(key: w.Key) -> list[w.Feature]:
    """What one person has made of the videos of a key."""
    return [
        w.count(seen, by=(user, key)), w.count(watch, by=(user, key), window=[days(7), w.FOREVER]),
        w.rate(click, over=seen, by=(user, key), prior=(0.9, 2)),
        w.rate(watch, long, over=watch, by=(user, key), prior=(0.9, 2)), w.since(watch, by=(user, key)),
        w.rate(like, over=watch, by=(user, key), prior=(0.04, 2)),
    ]  # fmt: skip


features = [
    w.column(seen.surface), w.position(seen.position), w.hour(), w.weekday(),
    w.column(user.activity), w.column(user.register_days), w.column(user.follows), w.column(user.fans),
    w.column(user.friends),
    w.column(video), w.column(video.author), w.column(video.tags), w.column(video.kind), w.column(video.duration_s),
    w.age(video.uploaded_at),
    *record(video), *record(video.author), *record(video.tags), *record(user),
    *affinity(video), *affinity(video.author), *affinity(video.tags),
    w.count(follow, by=(user, video.author)), w.count(comment, by=video), w.count(share, by=video),
    w.count(seen, by=user, window=hours(1)), w.since(watch, by=user), w.since(seen, by=user), w.since(seen, by=video),
    w.last(watch.video, by=user, k=50, columns=(video.author, video.tags, video.kind)),
    *(w.last(events.video, *only, by=user, k=50) for events, *only in ((watch, long), (like,), (click,))),
]  # fmt: skip

# 4. Model: two ladders, one evaluator -------------------------------------------------------------
retrieval = w.Ladder(L0=w.Popularity(half_life=days(2)), L1=w.TwoTower(), L2=w.SequenceTower())
trees, net = w.GradientBoosting(learning_rate=0.1), w.MultiTask()
ranking = w.Ladder(L0=w.Formula("video_click_rate_ever"), L1=(trees, w.DCN()), L2=(w.Blend((net, trees)), net))

# 5. Serve -----------------------------------------------------------------------------------------
pipeline = w.Pipeline(
    sources=[
        sources.Nearest(limit=300), sources.CoWatched(watch, limit=150),
        sources.Popular(watch, limit=100, window=days(7)), sources.Fresh(video.uploaded_at, limit=50),
    ],
    filters=[filters.Seen(seen, last=500), filters.Hidden(hide, by=video.author)],
    value=w.Weighted(click=1.0, long_view=2.0, like=5.0, watch_s=0.01),
    slate=[slate.RepeatDecay(video.author, factor=0.6), slate.Mmr(video.tags, strength=0.2), slate.Explore(share=0.05)],
    policy=[policy.Available(video.available)],
    candidates=500, size=20,
)  # fmt: skip

# 6. Learn -----------------------------------------------------------------------------------------
system = w.System(
    "video_recommendation", frame, outcomes, features, retrieval=retrieval, ranking=ranking, pipeline=pipeline,
    monitors=[w.Skew(at_most=0), w.Drift(), w.Calibration(ece=0.05)],
    retrain=w.Retrain(every=hours(6), promote_if={"ne": "not worse", "ece": "not worse"}),
)  # fmt: skip
