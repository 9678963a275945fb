"""Event recommendation: what is going to happen and could be gone to, ordered for one member."""

import winnow as w
from winnow import days, filters, graph, hours, labels, minutes, ms, places, policy, slate, sources

# 1. Frame ---------------------------------------------------------------------------------------
frame = w.Frame(
    business="seats that are taken by people who are glad they came",
    predict="P(registration within six hours) of a shown event, with bookmark and share as heads beside it",
    p99=ms(200), throughput_per_s=500, freshness=minutes(1) / 2, retention=days(3650),
    guardrails={"hides_per_1k": "+1 %", "host_concentration": "+5 %"},
    non_goals=("search by words", "prices of tickets", "advertising of events"),
)  # fmt: skip

# 2. Data ----------------------------------------------------------------------------------------
member = w.Table("member", key="member_id", columns={
    "joined_at": w.time, "home_lat": w.personal(w.number), "home_lon": w.personal(w.number),
})  # fmt: skip
group = w.Table("group", key="group_id", columns={
    "title": w.text, "topics": w.categories(domain="topic"), "created_at": w.time,
})  # fmt: skip
venue = w.Table("venue", key="venue_id", columns={
    "title": w.text, "city": w.category(domain="city"), "lat": w.number, "lon": w.number,
})  # fmt: skip
event = w.Table("event", key="event_id", columns={
    "group": w.ref(group), "venue": w.ref(venue), "title": w.text, "text": w.text, "created_at": w.time,
    "starts_at": w.time, "ends_at": w.time, "utc_offset_h": w.number, "price": w.number(at_least=0),
    "capacity": w.number(at_least=0), "cancelled": w.flag,
})  # fmt: skip
both, friend = {"member": member, "event": event}, {"member": member, "friend": member}
seen = w.Events("impression", refs=both, fields={"surface": w.category, "position": w.number(at_least=0),
                                                 "lat": w.number, "lon": w.number})  # fmt: skip
bookmark, share, hide = (w.Events(name, refs=both) for name in ("bookmark", "share", "hide"))
register, cancel = (w.Tie(name, refs=both) for name in ("register", "cancel"))
join, leave = (w.Tie(name, refs={"member": member, "group": group}) for name in ("join", "leave"))
going, joined = w.Bond(register, cancel), w.Bond(join, leave)
friends = w.Bond(w.Tie("befriend", refs=friend), w.Tie("unfriend", refs=friend), mutual=True)

outcomes = w.Labels(of=seen, within=hours(6), against=w.Alternatives(register, k=20), heads={
    "register": labels.any(register), "bookmark": labels.any(bookmark), "share": labels.any(share),
})  # fmt: skip

# 3. Features: one definition, as of the impression in training, as of now in serving --------------
spot = w.Place(event.venue.lat, event.venue.lon)
went = w.last(register.event, by=member, k=20)
home = w.Whereabouts((w.Place(seen.lat, seen.lon), w.Place(member.home_lat, member.home_lon),
                      w.centre(register.event, by=member, k=20, of=spot)))  # fmt: skip
hour, weekday = (clock(event.starts_at, utc_offset=event.utc_offset_h) for clock in (w.hour, w.weekday))


def record(key: w.Key) -> list[w.Feature]:
    """What has come of the events of a key: many of them are new, so what is known of all of them weighs in."""
    rates = [w.rate(e, over=seen, by=key, prior=(20 * p, 20)) for e, p in ((register, 0.05), (share, 0.01))]
    return [*rates, w.count(register, by=key, window=[days(1), days(30), w.FOREVER]), w.since(register, by=key)]


def affinity(key: w.Key) -> list[w.Feature]:
    """What one member has made of the events of a key."""
    return [
        w.count(register, by=(member, key), window=[days(90), w.FOREVER]),
        w.since(register, by=(member, key)),
        w.count(cancel, by=(member, key)),
        w.rate(register, over=seen, by=(member, key), prior=(0.25, 5)),
    ]


features = [
    w.column(seen.surface), w.position(seen.position), hour, weekday, w.until(event.starts_at), w.age(event.created_at),
    w.age(member.joined_at), w.age(event.group.created_at), w.distance(home, spot), w.column(event.price),
    w.room(event.capacity, taken=going), w.column(event.group), w.column(event.group.topics),
    w.column(event.venue.city),
    w.count(register, by=member, window=[days(30), w.FOREVER]), w.since(register, by=member),
    *record(event), *record(event.group), *record(event.venue),
    *affinity(event.group), *affinity(event.venue), *affinity(event.group.topics),
    w.tied(joined, by=(member, event.group)), w.tenure(joined, by=(member, event.group)),
    w.company(friends, going, by=event), w.company(friends, going, by=event.group),
    w.match(event.group, went), w.match(event.venue, went), w.match(event.venue.city, went), w.match(weekday, went),
    w.match(w.bucket(hour, edges=(9, 12, 15, 17, 18, 19, 20, 22)), went),
    w.deviation(w.column(event.price), went, prior=(5, 2)),
    w.embed(event.text), w.similarity(w.embed(event.text), went),
    w.last(register.event, by=member, k=20, columns=(event.group, event.group.topics, event.venue.city)),
]  # fmt: skip

# 4. Model: two ladders, one evaluator; nothing learns single events, which will be over ------------
tower = w.TwoTower(ids=False, epochs=10)
retrieval = w.Ladder(
    L0=w.Popularity(half_life=days(30), by="event_group"), L1=tower, L2=w.SequenceTower(ids=False, epochs=10)
)
trees, net = w.GradientBoosting(learning_rate=0.05), w.DCN()
ranking = w.Ladder(L0=w.Formula("event_group_register_rate_ever"), L1=trees, L2=(w.Blend((net, trees)), net))

# 5. Serve -----------------------------------------------------------------------------------------
pipeline = w.Pipeline(
    sources=[
        places.Near(home, spot, starts=event.starts_at, km=50, limit=200),
        graph.Of(graph.Circle(joined, by=event.group), newest=event.created_at, limit=200),
        sources.Nearest(limit=200), sources.Popular(register, limit=100, window=days(7)),
        sources.Fresh(event.created_at, limit=50),
    ],
    filters=[filters.Seen(register, last=200), filters.Hidden(hide, by=event)],
    value=w.Weighted(register=10, bookmark=2, share=3),
    slate=[slate.RepeatDecay(event.group, factor=0.8), slate.Mmr(event.group.topics, strength=0.1),
           slate.Explore(share=0.05)],
    policy=[policy.Future(event.starts_at), policy.Unless(event.cancelled),
            policy.RoomLeft(event.capacity, taken=going), policy.NoClash(event.starts_at, event.ends_at, going)],
    candidates=500, size=20,
)  # fmt: skip

# 6. Learn -----------------------------------------------------------------------------------------
system = w.System(
    "event_recommendation", frame, outcomes, features, retrieval=retrieval, ranking=ranking, pipeline=pipeline,
    alive=w.Alive(since=event.created_at, until=event.starts_at), monitors=[w.Skew(at_most=0), w.Drift()],
    retrain=w.Retrain(every=hours(24), promote_if={"auc": "not worse"}),
)  # fmt: skip
