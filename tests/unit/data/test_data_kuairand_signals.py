"""Every signal of KuaiRand's log becomes an event, where the edition of the files has it."""

import polars as pl

from winnow.data.importers import KuaiRand

SHOWN = {"user_id": [1, 2, 3], "video_id": [7, 8, 9], "time_ms": [1_650_900_000_000 + s for s in (0, 1_000, 2_000)],
         "tab": [1, 1, 1], "play_time_ms": [0, 499, 500], "long_view": [0, 0, 1], "is_click": [0, 1, 1],
         "is_like": [0, 0, 1], "is_follow": [0, 1, 0], "is_comment": [0, 0, 1], "is_forward": [1, 0, 0],
         "is_hate": [1, 0, 0]}  # fmt: skip
MORE = {"is_profile_enter": [0, 1, 0], "comment_stay_time": [0, 0, 2_500]}


def events(folder, columns):
    pl.DataFrame(columns).write_csv(folder / "log_standard_pure.csv")
    return dict(KuaiRand().events(folder))


def test_every_signal_becomes_an_event(tmp_path):
    found = events(tmp_path, SHOWN | MORE)
    who = {name: frame["user"].to_list() for name, frame in found.items()}
    assert who == {
        "impression": [1, 2, 3], "click": [2, 3], "like": [3], "follow": [2], "comment": [3], "share": [1], "hide": [1],
        "watch": [2, 3], "skip": [1, 2], "profile_visit": [2], "read_comments": [3],
    }  # fmt: skip
    assert found["read_comments"]["seconds"].to_list() == [2.5]
    assert found["skip"]["at"].to_list() == [1_650_900_000_000_000, 1_650_900_001_000_000]
    ids = pl.concat(frame.select("event_id") for frame in found.values())["event_id"]
    assert ids.n_unique() == len(ids)


def test_an_edition_without_the_later_columns_still_loads(tmp_path):
    assert set(events(tmp_path, SHOWN)) == {
        "impression", "click", "like", "follow", "comment", "share", "hide", "watch", "skip",
    }  # fmt: skip
