"""Similar listings: beside the listing that somebody looks at, others that they may book instead."""

import winnow as w
from winnow import days, hours, labels, minutes, ms, policy, slate, sources

# 1. Frame ---------------------------------------------------------------------------------------
frame = w.Frame(
    business="more stays booked by people who have found a place that is nearly right",
    predict="which listing somebody who looks at this one goes on to, and books in the end",
    p99=ms(100), throughput_per_s=500, retention=days(730),
    guardrails={"cancelled_stays": "+1 %", "host_concentration": "+5 %"},
    non_goals=("search", "the order of search results", "prices"),
)  # fmt: skip

# 2. Data: a listing asks, listings answer; visitors are known by what they look at ----------------
listing = w.Table("listing", key="listing_id", columns={
    "title": w.text, "text": w.text, "host": w.category, "city": w.category, "area": w.category, "kind": w.category,
    "lat": w.number(at_least=-90, at_most=90), "lon": w.number(at_least=-180, at_most=180),
    "price": w.number(at_least=0), "rating": w.number(at_least=0, at_most=5), "beds": w.number(at_least=0),
    "guests": w.number(at_least=0), "calendar": w.nights, "listed_at": w.time, "hidden": w.flag,
})  # fmt: skip
visitor = w.Table("visitor", key="visitor_id", columns={})
looked = {"visitor": visitor, "listing": listing}
view = w.Events("view", refs=looked, fields={"source": w.category})
book = w.Events("book", refs=looked, fields={"nights": w.number(at_least=1)})

shown = {"viewed": listing, "visitor": visitor, "listing": listing}  # in the carousel under a listing
seen = w.Events("impression", refs=shown, fields={"surface": w.category, "position": w.number(at_least=0)})
click = w.Events("click", refs=shown)

outcomes = w.Labels(of=seen, within=hours(24), heads={
    "click": labels.any(click), "book": labels.any(book, by="visitor"),
})  # fmt: skip

# 3. Features: what a listing is; nothing about who looks ------------------------------------------
features = [
    *(w.column(c) for c in (listing.city, listing.area, listing.kind, listing.host)),
    *(w.column(c) for c in (listing.price, listing.lat, listing.lon, listing.beds, listing.guests, listing.rating)),
    w.embed(listing.text),
]

# 4. Model: one ladder; what it finds is ordered by how near it is ----------------------------------
trips = w.Sessions(
    view, by="visitor", gap=minutes(30), goal=book, market=listing.city,
    source=view.source, loop=("similar",), loop_weight=0.3,
)  # fmt: skip
same = w.Attributes(same={"listing_area": 3, "listing_kind": 1}, near={"listing_price": 1})
content = w.Attributes(
    same={"listing_city": 3, "listing_area": 1, "listing_kind": 1, "listing_host": 0.3},
    near={"listing_price": 1, "listing_lat": 1, "listing_lon": 1, "listing_guests": 0.5, "listing_beds": 0.5,
          "listing_rating": 0.2},
    like={"listing_text": 0.5}, sessions=trips,
)  # fmt: skip
together = w.SkipGram(trips, content)
retrieval = w.Ladder(L0=same, L1=(together, content), L2=w.ItemBlend((content, together)))

# 5. Serve: dates, guests and price are filters of the request, met while the neighbours are searched --
pipeline = w.Pipeline(
    sources=[sources.Nearest(limit=200)],
    slate=[slate.Comparable(listing.price, ratio=2), slate.RepeatDecay(listing.host, factor=0.8)],
    policy=[policy.Unless(listing.hidden)],
    candidates=200, size=12,
)  # fmt: skip

# 6. Learn -----------------------------------------------------------------------------------------
system = w.System(
    "similar_listings", frame, outcomes, features, retrieval=retrieval, pipeline=pipeline,
    retrain=w.Retrain(every=days(1), promote_if={"recall@20": "not worse"}),
)  # fmt: skip
