"""People you may know: members whom a member is likely to know, such that both are glad to be connected."""

import winnow as w
from winnow import FOREVER, days, filters, labels, ms, people, policy, slate, sources

# 1. Frame ---------------------------------------------------------------------------------------
frame = w.Frame(
    business="a network that grows by connections which people keep using",
    predict="P(connected within a week) of a shown person, and of what may come of it: talk, a refusal, a block",
    p99=ms(200), throughput_per_s=500, retention=days(730),
    guardrails={"declines_per_request": "+1 %", "blocks_per_1k": "+0 %", "share_of_hubs": "+5 %"},
    non_goals=("address books", "whom to follow", "guessing what somebody hides"),
)  # fmt: skip

# 2. Data: who asks and who is shown are people alike ----------------------------------------------
person = w.Table("person", key="person_id", people=True, columns={
    "school": w.category, "school_from": w.number, "school_until": w.number,
    "work": w.category, "work_from": w.number, "work_until": w.number,
    "groups": w.categories, "town": w.category, "joined_at": w.time,
    "hidden": w.flag, "private_ties": w.flag,
})  # fmt: skip
candidate = person.playing("candidate")
both = {"person": person, "candidate": candidate}
seen = w.Events("impression", refs=both, fields={"surface": w.category, "position": w.number(at_least=0)})
visit, message = (w.Events(name, refs=both) for name in ("profile_visit", "message"))


def bond(made: str, undone: str, mutual: bool = False) -> w.Bond:
    """A state that one event makes and another ends; the first role does it to the last."""
    return w.Bond(w.Tie(made, refs=both), w.Tie(undone, refs=both), mutual=mutual)


friends, asked = bond("connect", "disconnect", mutual=True), bond("request", "withdraw")
declined, dismissed, blocked = bond("decline", "reconsider"), bond("dismiss", "restore"), bond("block", "unblock")
request, connect, decline = asked.made, friends.made, declined.made

outcomes = w.Labels(of=seen, within=days(7), heads={
    "request": labels.any(request), "accept": labels.answered(connect, asked=request, refused=decline),
    "message": labels.any(message), "decline": labels.any(decline), "dismiss": labels.any(dismissed.made),
    "block": labels.any(blocked.made),
})  # fmt: skip

# 3. Features: one definition, as of the impression in training, as of now in serving --------------
pair, month = (person, candidate), days(30)


def together(what: str) -> w.Feature:
    """Whether both were at one school or work, and for how many years at the same time."""
    (one, *years), (other, *theirs) = ([getattr(of, what + end) for end in ("", "_from", "_until")] for of in pair)
    return w.common(one, other, during=(tuple(years), tuple(theirs)))


def standing(key: w.Table) -> list[w.Feature]:
    """What is known of one person: how many they know, what they make of requests, how often they are looked at."""
    took = [w.rate(e, over=request, by=key, prior=(5 * p, 5)) for e, p in ((connect, 0.4), (decline, 0.1))]
    counts = [w.count(e, by=key, window=[month, FOREVER]) for e in (request, connect, decline, visit, seen)]
    return [w.degree(friends, by=key), w.age(key.joined_at), w.since(connect, by=key), *took, *counts]


features = [
    w.column(seen.surface), w.position(seen.position), w.column(person), w.column(candidate),
    *(w.column(c) for key in pair for c in (key.school, key.work, key.town)), *standing(person), *standing(candidate),
    w.closeness(friends, by=pair), w.common(person.groups, candidate.groups), w.common(person.town, candidate.town),
    together("school"), together("work"),
    w.count(visit, by=pair, window=[month, FOREVER]), w.count(seen, by=pair, window=[days(7), FOREVER]),
    w.back(w.count(visit, by=pair, window=[month, FOREVER]), between=pair),
    w.last(connect.candidate, by=person, k=50),
]  # fmt: skip

# 4. Model: two ladders, one evaluator -------------------------------------------------------------
retrieval = w.Ladder(L0=w.Popularity(half_life=month), L1=w.TwoTower(), L2=w.GraphVectors(bond=friends))
trees, net = w.GradientBoosting(learning_rate=0.1), w.GraphSage(bond=friends)
mutual = w.Formula("person_x_candidate_connect_common", heads=("accept", "request"))
ranking = w.Ladder(L0=mutual, L1=(trees, w.DCN()), L2=(w.Blend((net, trees)), net))

# 5. Serve -----------------------------------------------------------------------------------------
network = people.Network(friends, but=(blocked,), private=candidate.private_ties)
pipeline = w.Pipeline(
    sources=[
        people.FriendsOfFriends(network, limit=300), w.Stored(people.Walk(network, limit=150), within=days(7)),
        *(people.Same(getattr(person, c), to=getattr(candidate, c), newest=candidate.joined_at, told=told, limit=100)
          for c, told in (("school", "both went to {item}"), ("work", "both worked at {item}"),
                          ("groups", "both in {item}"))),
        sources.Nearest(limit=100), sources.Popular(connect, limit=50, window=month),
    ],
    filters=[filters.Seen(request), filters.Seen(dismissed.made)],
    value=w.Weighted(accept=10, message=5, request=0, decline=-3, dismiss=-1, block=-50),
    slate=[slate.Explore(share=0.02)],
    policy=[
        policy.Unless(candidate.hidden), policy.Apart(blocked, by=candidate), policy.Apart(friends, by=candidate),
        policy.Apart(asked, by=candidate), policy.Apart(declined, by=candidate),
        policy.Apart(dismissed, by=candidate, either=False),
    ],
    candidates=500, size=20,
)  # fmt: skip

# 6. Learn -----------------------------------------------------------------------------------------
system = w.System(
    "people_you_may_know", frame, outcomes, features, retrieval=retrieval, ranking=ranking, pipeline=pipeline,
    monitors=[w.Skew(at_most=0), w.Drift(), w.Calibration(ece=0.05)],
    retrain=w.Retrain(every=days(7), promote_if={"ne": "not worse", "ece": "not worse"}),
)  # fmt: skip
