"""Personalised news feed: posts of friends, groups and strangers, ordered for one member."""

import winnow as w
from winnow import days, filters, graph, hours, labels, minutes, ms, policy, slate, sources

# 1. Frame ---------------------------------------------------------------------------------------
frame = w.Frame(
    business="members who come back because what they saw was worth their time",
    predict="P(reaction within six hours) of a shown post, one head per reaction, dwell and skip",
    p99=ms(200), throughput_per_s=5_000, freshness=minutes(1), retention=days(365),
    guardrails={"hides_per_1k": "+1 %", "author_concentration": "+5 %"},
    non_goals=("advertisements", "notifications", "writing posts"),
)  # fmt: skip

# 2. Data ----------------------------------------------------------------------------------------
member = w.Table("member", key="member_id", columns={
    "country": w.category, "joined_at": w.time, "birth_year": w.personal(w.number(at_least=1900)),
})  # fmt: skip
group = w.Table("group", key="group_id", columns={"topic": w.category(domain="topic"), "created_at": w.time})
post = w.Table("post", key="post_id", columns={
    "author": w.ref(member), "group": w.ref(group), "text": w.text, "topic": w.category(domain="topic"),
    "created_at": w.time, "removed": w.flag, "least_age": w.number(at_least=0),
})  # fmt: skip
both = {"member": member, "post": post}
seen = w.Events("impression", refs=both, fields={"surface": w.category, "position": w.number(at_least=0)})
dwell = w.Events("dwell", refs=both, fields={"seconds": w.number(at_least=0)})
click, like, comment, share, hide, visit, skip = (
    w.Events(name, refs=both) for name in ("click", "like", "comment", "share", "hide", "profile_visit", "skip")
)


def bond(made: str, undone: str, to: w.Table = member, mutual: bool = False) -> w.Bond:
    """A state that one event makes and another ends."""
    refs = {"member": member, "group" if to is group else "author": to}
    return w.Bond(w.Tie(made, refs=refs), w.Tie(undone, refs=refs), mutual=mutual)


following, friends = bond("follow", "unfollow"), bond("befriend", "unfriend", mutual=True)
joined, blocked, muted = bond("join", "leave", group), bond("block", "unblock"), bond("mute", "unmute")

reactions = {"click": click, "like": like, "comment": comment, "share": share, "visit": visit, "hide": hide}
outcomes = w.Labels(of=seen, within=hours(6), heads={
    **{name: labels.any(events) for name, events in reactions.items()},
    "skip": labels.any(skip), "dwell_s": labels.sum(dwell.seconds),
})  # fmt: skip

# 3. Features: one definition, as of the impression in training, as of now in serving --------------
PRIORS = {click: 0.2, like: 0.05, comment: 0.02, hide: 0.005}


def record(key: w.Key) -> list[w.Feature]:
    """What has come of showing the posts of a key (or, for a member, what they made of posts)."""
    rates = [w.rate(e, over=seen, by=key, window=[days(1), days(30)], prior=(20 * p, 20)) for e, p in PRIORS.items()]
    return [*rates, w.count(seen, by=key, window=[hours(1), days(7)]), w.mean(dwell.seconds, by=key, prior=(5, 5))]


def affinity(key: w.Key) -> list[w.Feature]:
    """What one member has made of the posts of a key."""
    rates = [w.rate(e, over=seen, by=(member, key), window=days(90), prior=(5 * p, 5)) for e, p in PRIORS.items()]
    visits = w.count(visit, by=(member, key), window=[days(7), days(90)])
    return [*rates, visits, w.count(seen, by=(member, key), window=[days(7), days(90)])]


liked = w.last(like.post, by=member, k=20)
features = [
    w.column(seen.surface), w.position(seen.position), w.hour(), w.weekday(), w.column(member),
    w.column(member.country), w.age(member.joined_at), w.column(post.author), w.column(post.topic),
    w.column(post.group), w.age(post.created_at),
    *record(member), *record(post), *record(post.author), *record(post.topic), *record(post.group),
    *affinity(post.author), *affinity(post.topic), *affinity(post.group),
    w.tied(following, by=(member, post.author)), w.tied(joined, by=(member, post.group)),
    w.tenure(friends, by=(member, post.author)), w.mutual(friends, by=(member, post.author)),
    w.since(seen, by=member), w.since(comment, by=post),
    w.similarity(w.embed(post.text), liked), w.last(seen.post, by=member, k=50, columns=(post.author, post.topic)),
    *(w.last(e.post, by=member, k=50, columns=(post.author, post.topic)) for e in (like, comment, click)),
]  # fmt: skip

# 4. Model: two ladders, one evaluator -------------------------------------------------------------
retrieval = w.Ladder(L0=w.Popularity(half_life=days(1)), L1=w.TwoTower(), L2=w.SequenceTower())
trees, net = w.GradientBoosting(learning_rate=0.1), w.ActionTransformer()
ranking = w.Ladder(L0=w.Formula("post_like_rate_1d"), L1=(trees, w.DCN()), L2=(w.Blend((net, trees)), net))

# 5. Serve -----------------------------------------------------------------------------------------
people = (graph.Circle(of, by=post.author, but=(blocked, muted)) for of in (following, friends))
circles = (*people, graph.Circle(joined, by=post.group))
pipeline = w.Pipeline(
    sources=[
        *(graph.Of(circle, newest=post.created_at, limit=200) for circle in circles),
        graph.Discussed(seen, of=comment, limit=50), sources.Nearest(limit=150),
        sources.Popular(like, limit=100, window=hours(12)),
    ],
    filters=[filters.Seen(seen, last=500, again=comment), filters.Hidden(hide, by=post.author),
             filters.OlderThan(days(14), of=post.created_at)],
    value=w.Weighted(click=1, like=5, comment=10, share=20, visit=6, dwell_s=0.05, skip=-2, hide=-60,
                     newest=post.created_at),
    slate=[
        slate.Fade(post.created_at, half_life=days(2), floor=0.6), slate.NearDuplicates(w.embed(post.text), within=0.9),
        slate.RepeatDecay(post.author, factor=0.7), slate.Mmr(post.topic, strength=0.2),
        slate.Strangers(circles, share=0.5), slate.Explore(share=0.02),
    ],
    policy=[policy.Apart(blocked, by=post.author), policy.Apart(muted, by=post.author, either=False),
            policy.Unless(post.removed), policy.OfAge(post.least_age, born=member.birth_year)],
    candidates=500, size=30,
)  # fmt: skip

# 6. Learn -----------------------------------------------------------------------------------------
system = w.System(
    "news_feed", frame, outcomes, features, retrieval=retrieval, ranking=ranking, pipeline=pipeline,
    monitors=[w.Skew(at_most=0), w.Drift(), w.Calibration(ece=0.05)],
    retrain=w.Retrain(every=hours(24), promote_if={"ne": "not worse", "ece": "not worse"}),
)  # fmt: skip
