"""KuaiRand as a news feed: every signal of its log is a head. The tables, events and features of video recommendation
are taken as they are; what the other signals say about a video, its author and a person is added."""

import winnow as w
from winnow import days, hours, labels, sources
from winnow.systems import video_recommendation as video

user, post, seen, watch = video.user, video.video, video.seen, video.watch
profile_visit, skip = (w.Events(name, refs=video.both) for name in ("profile_visit", "skip"))
read_comments = w.Events("read_comments", refs=video.both, fields={"seconds": w.number(at_least=0)})
like, follow, comment, share, hide = video.like, video.follow, video.comment, video.share, video.hide
RARE = (follow, comment, share, hide)

outcomes = w.Labels(of=seen, within=hours(1), heads={
    "click": labels.any(video.click), "long_view": labels.any(watch, watch.long.equals(1)), "like": labels.any(like),
    "follow": labels.any(follow), "comment": labels.any(comment), "share": labels.any(share), "hide": labels.any(hide),
    "profile_visit": labels.any(profile_visit), "read_comments": labels.any(read_comments), "skip": labels.any(skip),
    "dwell_s": labels.sum(watch.seconds), "comments_s": labels.sum(read_comments.seconds),
})  # fmt: skip


def rates(key: w.Key) -> list[w.Feature]:
    """How often a reaction that video recommendation does not count has come of showing something."""
    common = [w.rate(e, over=seen, by=key, prior=(p, 20)) for e, p in
              ((profile_visit, 0.4), (read_comments, 0.9), (skip, 2.3))]  # fmt: skip
    return common + [w.rate(e, over=seen, by=key, prior=(0.03, 20)) for e in RARE]


features = [
    *video.features,
    *rates(post), *rates(post.author), *rates(post.tags), *rates(user),
    w.rate(skip, over=seen, by=user, window=days(1), prior=(2.3, 20)),
    *(w.count(e, by=(user, post.author)) for e in (like, profile_visit, read_comments, skip)),
    w.mean(read_comments.seconds, by=user, prior=(6, 5)), w.mean(read_comments.seconds, by=post, prior=(6, 5)),
    *(w.last(e.video, by=user, k=20) for e in (*RARE, profile_visit, read_comments, skip)),
]  # fmt: skip

system = w.System(
    "kuairand_feed", video.frame, outcomes, features,
    ranking=w.Ladder(L0=w.Formula("video_click_rate_ever"), L1=w.GradientBoosting(), L2=w.MultiTask()),
    pipeline=w.Pipeline(
        sources=[sources.Popular(watch, limit=500, window=days(7))], candidates=500, size=20,
        value=w.Weighted(click=1.0, like=5.0, comment=10.0, share=20.0, hide=-20.0, dwell_s=0.01),
    ),
)  # fmt: skip
