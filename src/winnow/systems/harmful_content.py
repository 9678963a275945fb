"""Harmful content: how probable each harm of a post is; what is done about it is for the policy to say."""

import winnow as w
from winnow import days, hours, labels, ms

# 1. Frame ---------------------------------------------------------------------------------------
frame = w.Frame(
    business="people who are not harmed by what others post, and not silenced for what harms nobody",
    predict="P(a reviewer finds the harm | text, picture, author, reactions), one head per harm, calibrated",
    p99=ms(200), throughput_per_s=1_000, retention=days(365),
    guardrails={"appeals_upheld": "+1 %", "prevalence": "+1 %"},
    non_goals=("finding rings of accounts", "what is done about a harm: policies are data, see `winnow.moderation`"),
)  # fmt: skip

# 2. Data: posts, and what people found out about them ----------------------------------------------
author = w.Table("author", key="author_id", columns={
    "joined_at": w.time, "followers": w.number(at_least=0), "follows": w.number(at_least=0),
})  # fmt: skip
post = w.Table("post", key="post_id", columns={
    "text": w.text, "image": w.image, "language": w.category, "author": w.ref(author), "posted_at": w.time,
})  # fmt: skip
both = {"author": author, "post": post}
posted = w.Events("posted", refs=both)
HARMS = ("hate", "insult", "threat", "sexual", "spam")
review = w.Events("review", refs=both, fields={"reviewer": w.category, **dict.fromkeys(HARMS, w.flag)})
report, share = (w.Events(name, refs=both) for name in ("report", "share"))

# A harm that nobody looked for is unknown, and teaches nothing. Reviewers come within days; most posts have none.
outcomes = w.Labels(of=posted, within=days(7), heads={harm: labels.finding(getattr(review, harm)) for harm in HARMS})

# 3. Features: who posts, and what came of it; words and pictures are read by the models themselves ---------
features = [
    w.age(author.joined_at), w.column(author.followers), w.column(author.follows),
    w.count(posted, by=author, window=[hours(1), days(7)]), w.since(posted, by=author),
    w.count(report, by=author, window=[days(7), days(90)]), w.count(report, by=post), w.count(share, by=post),
    w.count(review, by=author, window=days(90)),
    *(w.rate(review, getattr(review, harm).equals(1), over=review, by=author, window=days(90), prior=(0.1, 2))
      for harm in HARMS),
]  # fmt: skip

# 4. Model: a list of words, n-grams, and early fusion of everything that is known -----------------------
ranking = w.Ladder(L0=w.WordList(), L1=w.NGrams(), L2=w.EarlyFusion(), calibrate=None)  # each calibrates itself

# 5. Serve: known content, features of the author, the model, the policy in force ------------------------
pipeline = w.Decisions(text=post.text, sentences=w.MiniLM(), picture=post.image, looks=w.ColourGrid())

# 6. Learn: from what reviewers find ---------------------------------------------------------------
system = w.System(
    "harmful_content", frame, outcomes, features, ranking=ranking, pipeline=pipeline,
    monitors=[w.Skew(at_most=0), w.Drift(), w.Calibration(ece=0.03)],
    retrain=w.Retrain(every=days(7), promote_if={"pr_auc": "not worse", "ece": "not worse"}),
)  # fmt: skip
