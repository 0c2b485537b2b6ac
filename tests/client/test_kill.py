"""Senders with a spool that are killed: nothing that was accepted is lost, and nothing is stored twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from client.proxy import faulty
from client.test_storm import stored
from forebay.client import Client
from support.harness import RunningServer, wait_for

pytestmark = pytest.mark.slow

FLUSH_SECONDS = 60.0
KILLS = int(os.environ.get("FOREBAY_KILLS", "6"))

Start = Callable[..., RunningServer]


def killed_run(url: str, spool: Path, name: str, seconds: float, *mode: str) -> int:
    """How many events the process had been told are accepted when it was killed."""
    command = [sys.executable, str(Path(__file__).with_name("victim.py")), url, str(spool), name, *mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            said.append(process.stdout.readline())
        process.kill()
        said += process.stdout.readlines()
        process.wait()
    return sum(line.endswith(b"\n") for line in said)


@pytest.mark.parametrize("mode", [(), ("always",)])
def test_what_a_killed_sender_had_accepted_is_stored_once(server: Start, tmp_path: Path, mode: tuple[str, ...]) -> None:
    running = server()
    draw = random.Random(7)
    counts: dict[str, int] = {}
    spool = tmp_path / "spool"
    with faulty(running.url, stall_seconds=0.6) as proxy:
        for kill in range(KILLS):
            # Without a server at all, with a bad one, and with a good one.
            proxy.share = (1.0, 0.6, 0.0)[kill % 3]
            counts[f"k{kill}"] = killed_run(proxy.url, spool, f"k{kill}", draw.uniform(0.05, 0.4), *mode)
        proxy.share = 0.0
        with Client(proxy.url, spool=spool) as client:
            assert client.flush(FLUSH_SECONDS) == 0
            stats = client.stats()
    assert (stats.rejected, stats.dropped, stats.corrupt_bytes) == (0, 0, 0)
    assert stats.recovered == stats.delivered
    assert list(spool.iterdir()) == []
    found = stored(running)
    assert [message for message, count in found.items() if count > 1] == []
    for name, count in counts.items():
        numbers = {int(message.split()[1]) for message in found if message.startswith(f"{name} ")}
        # The one whose call had not returned may be there as well.
        assert numbers >= set(range(count)), name
        assert numbers <= set(range(count + 1)), name


def test_a_living_process_takes_over_what_a_killed_one_left(server: Start, tmp_path: Path) -> None:
    running = server()
    spool = tmp_path / "spool"
    with Client(running.url, spool=spool) as living:
        assert living.log("living") is True
        assert living.flush() == 0
        count = killed_run("http://127.0.0.1:1", spool, "dead", 0.1)
        living._look_for_orphans()
        wait_for("the adoption", lambda: living.stats().recovered >= count)
        assert living.flush(FLUSH_SECONDS) == 0
        assert living.stats().recovered in (count, count + 1)
    assert len(stored(running)) == living.stats().accepted


def test_two_processes_share_a_directory_and_none_takes_the_others_files(server: Start, tmp_path: Path) -> None:
    running = server()
    spool = tmp_path / "spool"
    command = [sys.executable, str(Path(__file__).with_name("victim.py")), "http://127.0.0.1:1", str(spool), "first"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with Client(running.url, spool=spool) as other:
            other.log("second")
            assert other.flush() == 0
            assert (other.stats().accepted, other.stats().recovered) == (1, 0)
        process.kill()
        process.stdout.read()
    assert set(stored(running)) == {"second"}
