"""The decoding program is killed, stopped and abandoned: the server goes on, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from media_samples import natural, saved, zeros_png
from PIL import Image

from winnow.core.errors import InputError, Unavailable
from winnow.media.decode import Decoder

SMALL = saved(Image.fromarray(natural(30, 40)), "PNG")
HEAVY = zeros_png(5_000, 6_000)  # a fifth of a second or more
PROC = Path("/proc")

pytestmark = pytest.mark.skipif(not (PROC / "self" / "fd").is_dir(), reason="looks into /proc")


def children(parent=None):
    """Process ids of decoding programs of a process."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        try:
            mine = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == (parent or os.getpid())
            if mine and b"decoding_child" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return set(found)


def gone(pid):
    try:
        return not (PROC / str(pid) / "cmdline").read_bytes()  # ended, and nobody has asked how
    except OSError:
        return True


def handles():
    return len(list((PROC / "self" / "fd").iterdir()))


@pytest.fixture
def alone():
    """The decoding programs that other tests keep warm."""
    return children()


def eventually(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_program_is_kept_for_the_next_picture(alone):
    with Decoder() as decoder:
        decoder.decode(SMALL)
        first = children() - alone
        decoder.decode(SMALL)
        assert children() - alone == first
        assert len(first) == 1
    assert children() == alone


def test_it_runs_within_limits_and_can_open_nothing(alone):
    with Decoder() as decoder:
        decoder.decode(SMALL)
        (pid,) = children() - alone
        limits = (PROC / str(pid) / "limits").read_text()
        said = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert said["Max address space"] == [str(256 << 20)] * 2
    assert said["Max open files"] == ["0", "0"]
    assert said["Max core file size"] == ["0", "0"]


def test_a_program_killed_between_pictures_is_replaced(alone):
    with Decoder() as decoder:
        for _ in range(3):
            decoder.decode(SMALL)
            (pid,) = children() - alone
            os.kill(pid, signal.SIGKILL)
            assert decoder.decode(SMALL).pixels.shape == (30, 40, 3)
            assert children() - alone != {pid}


def test_a_program_killed_at_work_is_replaced_and_the_picture_decoded(alone):
    with Decoder() as decoder:
        decoder.decode(SMALL)
        (pid,) = children() - alone
        thread = threading.Timer(0.05, os.kill, (pid, signal.SIGKILL))
        thread.start()
        assert decoder.decode(HEAVY, largest=8).pixels.shape == (8, 7, 3)
        thread.join()
        assert children() - alone != {pid}


def test_a_picture_on_which_every_program_dies_is_refused(alone):
    stop = threading.Event()

    def kill():
        while not stop.wait(0.02):
            for pid in children() - alone:
                if started(pid):
                    os.kill(pid, signal.SIGKILL)

    def started(pid):
        """Ready: it cannot open anything any more."""
        try:
            return "Max open files            0 " in (PROC / str(pid) / "limits").read_text()
        except OSError:
            return False

    with Decoder() as decoder:
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with pytest.raises(InputError) as caught:
                decoder.decode(HEAVY)
        finally:
            stop.set()
            killer.join()
        assert caught.value.code == "image-refused"
        assert decoder.decode(SMALL).format == "PNG"


def test_a_program_that_hangs_is_ended(alone):
    with Decoder(wait_s=0.3) as decoder:
        decoder.decode(SMALL)
        (pid,) = children() - alone
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(InputError) as caught:
            decoder.decode(SMALL)
        assert caught.value.code == "image-too-slow"
        assert pid not in children()


def test_who_waits_too_long_for_a_program_is_told(alone):
    with Decoder(wait_s=3, patience_s=0.1) as decoder:
        decoder.decode(SMALL)
        (pid,) = children() - alone
        os.kill(pid, signal.SIGSTOP)
        waiting = threading.Thread(target=decoder.decode, args=(SMALL,))
        waiting.start()
        time.sleep(0.1)
        with pytest.raises(Unavailable) as caught:
            decoder.decode(SMALL)
        assert caught.value.code == "decoder-busy"
        os.kill(pid, signal.SIGCONT)
        waiting.join()


def test_a_program_that_cannot_start_is_an_error_and_no_hang():
    with Decoder(most_pixels=1 << 70) as decoder, pytest.raises(Unavailable) as caught:
        decoder.decode(SMALL)
    assert caught.value.code == "decoder-fails"


def test_nothing_is_left_open_after_many_deaths(alone):
    decoder = Decoder(workers=2, cpu_s=0.01)
    decoder.decode(SMALL)
    before = handles()
    for turn in range(12):
        with pytest.raises(InputError):
            decoder.decode(HEAVY if turn % 2 else SMALL[: 60 + turn])
    decoder.decode(SMALL)
    assert handles() == before
    assert len(children() - alone) == 1
    decoder.close()
    assert children() == alone
    assert handles() < before


def test_a_decoder_that_is_forgotten_ends_its_program(alone):
    decoder = Decoder()
    decoder.decode(SMALL)
    assert children() - alone
    del decoder
    eventually(lambda: children() == alone)


def test_threads_share_a_decoder(alone):
    pictures = [natural(20 + i, 50, seed=i) for i in range(16)]
    files = [saved(Image.fromarray(pixels)) for pixels in pictures]
    wrong = []

    def work(first):
        for turn in range(40):
            which = (first + turn) % len(files)
            if not np.array_equal(decoder.decode(files[which]).pixels, pictures[which]):
                wrong.append(which)

    with Decoder(workers=2) as decoder:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert len(children() - alone) <= 2


def test_a_decoder_closed_while_at_work_finishes_and_leaves_nothing(alone):
    decoder = Decoder()
    decoder.decode(SMALL)
    found = []
    thread = threading.Thread(target=lambda: found.append(decoder.decode(HEAVY, largest=8)))
    thread.start()
    time.sleep(0.05)
    decoder.close()
    thread.join()
    assert found[0].width == 5000
    assert children() == alone


PARENT = """
import sys, time
from winnow.media.decode import Decoder
data = open(sys.argv[1], "rb").read()
decoder = Decoder()
decoder.decode(data)
print("ready", flush=True)
if sys.argv[2] == "wait":
    time.sleep(600)
elif sys.argv[2] == "fork":
    import os
    if not (child := os.fork()):
        same = all(decoder.decode(data).pixels.shape == (30, 40, 3) for _ in range(3))
        decoder.close()
        os._exit(0 if same else 3)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    again = decoder.decode(data).pixels.shape == (30, 40, 3)
    sys.exit(code if again else 4)
"""


def parent(tmp_path, what):
    (tmp_path / "small.png").write_bytes(SMALL)
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", PARENT, str(tmp_path / "small.png"), what],
                            stdout=subprocess.PIPE, text=True)  # fmt: skip


def test_a_server_that_is_killed_takes_its_programs_along(tmp_path):
    with parent(tmp_path, "wait") as server:
        assert server.stdout.readline() == "ready\n"
        (pid,) = children(server.pid)
        server.kill()
    eventually(lambda: gone(pid))


def test_a_fork_of_the_server_has_its_own_program(tmp_path):
    with parent(tmp_path, "fork") as server:
        assert server.wait(60) == 0


def test_an_exit_leaves_no_program(tmp_path):
    with parent(tmp_path, "exit") as server:
        assert server.stdout.readline() == "ready\n"
        started = children(server.pid)
        assert server.wait(60) == 0
    eventually(lambda: all(map(gone, started)))
