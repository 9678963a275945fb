"""A request meets a hundred thousand campaigns."""

import time

import numpy as np

from winnow.market.targeting import Between, NoneOf, OneOf, Targeting, naive


def campaigns(rng, size):
    interests = rng.zipf(1.3, (size, 4)) % 1_000
    interests[rng.random((size, 4)) < 0.5] = -1
    age = np.where(rng.random(size) < 0.5, 18.0, np.nan), rng.integers(30, 90, size).astype(float)
    return [
        OneOf("country", rng.integers(-1, 200, (size, 3))), NoneOf("site", rng.integers(-1, 500, (size, 2))),
        OneOf("interest", interests), OneOf("device", rng.integers(-1, 4, size)),
        OneOf("hour", np.where(rng.random((size, 24)) < 0.5, np.arange(24), -1)), Between("age", *age),
    ]  # fmt: skip


def test_a_request_is_matched_in_much_less_than_a_millisecond():
    rng, size = np.random.default_rng(1), 100_000
    demands = campaigns(rng, size)
    index, times = Targeting(demands, size), []
    for i in range(100):
        request = {
            "country": int(rng.integers(200)), "site": int(rng.integers(500)), "interest": rng.zipf(1.3, 5) % 1_000,
            "device": int(rng.integers(4)), "hour": int(rng.integers(24)), "age": int(rng.integers(15, 80)),
        }  # fmt: skip
        start = time.process_time()
        found = index.match(request)
        times.append(time.process_time() - start)
        if i < 5:
            assert found.tolist() == naive(demands, request, size).tolist()
    assert np.median(times) < 0.001  # about 0.15 ms on an idle core
