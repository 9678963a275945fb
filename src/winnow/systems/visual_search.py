"""Visual search: the pictures that look like a picture, or like a part of it."""

import winnow as w
from winnow import days, hours, labels, ms, policy, slate, sources

# 1. Frame ---------------------------------------------------------------------------------------
frame = w.Frame(
    business="people find what they have in mind and cannot name, and save it",
    predict="how alike two pictures are, such that people open and save what is shown for a picture",
    p99=ms(200), throughput_per_s=100, retention=days(365),
    guardrails={"zero_results": "+1 %"},
    non_goals=("search by words", "results that depend on who asks"),
)  # fmt: skip

# 2. Data: a picture asks, pictures answer ---------------------------------------------------------
image = w.Table("image", key="image_id", columns={
    "file": w.image, "kind": w.category, "tags": w.categories, "owner": w.category, "look": w.category,
    "private": w.flag, "unsafe": w.flag, "width": w.number(at_least=1), "height": w.number(at_least=1),
    "uploaded_at": w.time, "part": w.category,
})  # fmt: skip
both = {"query": image, "image": image}
seen = w.Events("impression", refs=both, fields={"surface": w.category, "position": w.number(at_least=0)})
click, save = (w.Events(name, refs=both) for name in ("click", "save"))

outcomes = w.Labels(of=seen, within=hours(1), heads={"click": labels.any(click), "save": labels.any(save)})

# 3. Features: nothing but the pixels --------------------------------------------------------------
features: list[w.Feature] = []

# 4. Model: one ladder; what it finds is ordered by how alike it is ----------------------------------
retrieval = w.Ladder(L0=w.Looks(), L1=w.ContrastivePictures(), L2=w.MetricPictures())

# 5. Serve ---------------------------------------------------------------------------------------
pipeline = w.Pipeline(
    sources=[sources.Nearest(limit=300)],
    slate=[slate.Collapse(image.look)],
    policy=[policy.Unless(image.private, unknown=False), policy.Unless(image.unsafe)],
    candidates=300, size=30,
)  # fmt: skip

# 6. Learn ---------------------------------------------------------------------------------------
system = w.System(
    "visual_search", frame, outcomes, features, retrieval=retrieval, relevance=image.kind, pipeline=pipeline,
    retrain=w.Retrain(every=days(7), promote_if={"map": "not worse"}),
)  # fmt: skip
