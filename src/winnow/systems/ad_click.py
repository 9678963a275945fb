"""Ad click prediction: which ads a person is shown, and what a click on them costs."""

import winnow as w
from winnow import ads, days, filters, hours, labels, minutes, ms, policy

# 1. Frame ---------------------------------------------------------------------------------------
frame = w.Frame(
    business="revenue that lasts: ads that people click on and do not hide, at prices that advertisers gladly pay",
    predict="P(click) and P(hide) of an ad in a slot, calibrated, since prices are made of them",
    p99=ms(100), throughput_per_s=500, freshness=minutes(1), retention=days(365),
    guardrails={"hides_per_1k": "+1 %", "conversions_per_click": "-1 %"},
    non_goals=("bidding on behalf of advertisers", "attribution across devices", "invoices"),
)  # fmt: skip

# 2. Data ----------------------------------------------------------------------------------------
country, device, topic = (w.category(domain=name) for name in ("country", "device", "topic"))
countries, devices, topics = (w.categories(domain=name) for name in ("country", "device", "topic"))
amount, year = w.number(at_least=1), w.number(at_least=0, at_most=150)  # money: hundredths of the currency

user = w.Table("user", key="user_id", columns={
    "country": country, "age": year, "interests": topics, "joined_at": w.time,
})  # fmt: skip
advertiser = w.Table("advertiser", key="advertiser_id", columns={"industry": w.category, "joined_at": w.time})
campaign = w.Table("campaign", key="campaign_id", columns={
    "advertiser": w.ref(advertiser), "currency": w.category, "daily": amount, "lifetime": amount,
    "starts_at": w.time, "ends_at": w.time, "countries": countries, "barred": countries, "age_from": year,
    "age_to": year, "interests": topics, "devices": devices,
    "hour_from": w.number(at_least=0, at_most=23), "hour_to": w.number(at_least=0, at_most=23),
})  # fmt: skip
group = w.Table("ad_group", key="group_id", columns={"campaign": w.ref(campaign), "goal": w.category})
creative = w.Table("creative", key="creative_id", columns={
    "title": w.text, "topic": topic, "format": w.category, "length_s": w.number(at_least=0),
})  # fmt: skip
ad = w.Table("ad", key="ad_id", columns={
    "group": w.ref(group), "creative": w.ref(creative), "bid": w.number(at_least=1),  # micros for a click
    "approved": w.flag, "created_at": w.time,
})  # fmt: skip
both = {"user": user, "ad": ad}
seen = w.Events("impression", refs=both, fields={
    "surface": w.category, "device": device, "position": w.number(at_least=0),
})  # fmt: skip
click, hide, conversion = (w.Events(name, refs=both) for name in ("click", "hide", "conversion"))

outcomes = w.Labels(of=seen, within=hours(1), heads={"click": labels.any(click), "hide": labels.any(hide)})

# 3. Features ------------------------------------------------------------------------------------
payer, owner = ad.group.campaign, ad.group.campaign.advertiser


def record(key: w.Key) -> list[w.Feature]:
    """What has come of showing the ads of a key (or, for a person, what they made of ads)."""
    return [
        w.count(seen, by=key, window=[hours(1), days(1), w.FOREVER]),
        w.rate(click, over=seen, by=key, window=[hours(1), days(1), days(7), w.FOREVER], prior=(2, 40)),
        w.rate(hide, over=seen, by=key, prior=(0.1, 40)),
        w.rate(conversion, over=click, by=key, window=[days(7), w.FOREVER], prior=(0.5, 10)),
    ]  # fmt: skip


def affinity(key: w.Key) -> list[w.Feature]:
    """What one person has made of the ads of a key; how often they have seen them is fatigue."""
    return [
        w.count(seen, by=(user, key), window=[hours(1), days(1), days(7)]), w.since(seen, by=(user, key)),
        w.rate(click, over=seen, by=(user, key), prior=(0.2, 4)), w.count(hide, by=(user, key)),
    ]  # fmt: skip


features = [
    w.column(seen.surface), w.column(seen.device), w.position(seen.position), w.hour(), w.weekday(),
    w.column(user.country), w.column(user.age), w.column(user.interests), w.age(user.joined_at),
    w.column(ad), w.column(payer), w.column(owner), w.column(owner.industry), w.column(ad.group.goal),
    w.column(ad.creative.topic), w.column(ad.creative.format), w.column(ad.creative.length_s), w.age(ad.created_at),
    w.overlap(ad.creative.topic, user.interests), w.overlap(payer.interests, user.interests),
    *record(ad), *record(ad.creative), *record(payer), *record(owner), *record(ad.creative.topic), *record(user),
    *affinity(payer), *affinity(owner), *affinity(ad.creative.topic),
    w.count(seen, by=user, window=minutes(10)), w.since(click, by=user),
    w.last(click.ad, by=user, k=20, columns=(ad.group, ad.creative)),
]  # fmt: skip

# 4. Model: calibrated per surface and advertiser, since prices are made of it -----------------------
segments = w.Segmented(("request_surface", "ad_group_campaign_advertiser"))
textbook, modern = (w.GradientBoosting(), w.Ftrl()), (w.DCN(), w.BehaviourAttention())
ranking = w.Ladder(L0=w.Formula("ad_click_rate_ever"), L1=textbook, L2=modern, calibrate=segments)

# 5. Serve: eligible, light rank by bid x click rate, heavy rank, auction ---------------------------
pipeline = w.Pipeline(
    sources=[ads.Eligible([
        ads.Wants(user.country, payer.countries), ads.Bars(user.country, payer.barred),
        ads.Wants(user.interests, payer.interests), ads.Within(user.age, payer.age_from, payer.age_to),
        ads.Wants(seen.device, payer.devices), ads.Hours(payer.hour_from, payer.hour_to),
    ], bid=ad.bid, seen=seen, clicks=click, limit=200)],
    filters=[filters.Hidden(hide, by=owner), ads.Capped(seen, by=payer, most=4, window=days(1))],
    value=w.Weighted(click=1.0),
    policy=[policy.Available(ad.approved), ads.Funded(
        payer, currency=campaign.currency, daily=campaign.daily, lifetime=campaign.lifetime,
        starts=campaign.starts_at, ends=campaign.ends_at, pacing="throttle",
    )],
    slate=[ads.Auction(
        ad.bid, payer=payer, clicks=click, currency="EUR", worth={"hide": -200_000}, rule="second", reserve=10_000,
        effects=(1.0, 0.7, 0.5), once=owner, apart=(ad.creative.topic,), within=hours(24),
    )],
    candidates=200, size=3,
)  # fmt: skip

# 6. Learn ---------------------------------------------------------------------------------------
system = w.System(
    "ad_click", frame, outcomes, features, ranking=ranking, pipeline=pipeline,
    monitors=[w.Skew(at_most=0), w.Drift(), w.Calibration(ece=0.02)],
    retrain=w.Retrain(every=hours(2), promote_if={"ne": "not worse", "ece": "not worse"}),
)  # fmt: skip
