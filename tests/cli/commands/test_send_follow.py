"""`forebay send --follow` to a real server."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forebay.server.process import clean_environment
from support.harness import RunningServer, event, run, wait_for

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]
SECONDS = 60.0
KILLS = int(os.environ.get("FOREBAY_KILLS", "3"))


@contextmanager
def following(url: str, path: Path, *more: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "forebay", "send", str(path), "--url", url, "--follow", *map(str, more)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    process.send_signal(number)
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output.decode(), errors.decode()


def append(path: Path, *messages: str) -> None:
    with path.open("ab") as file:
        file.write(b"".join(json.dumps(event(message)).encode() + b"\n" for message in messages))


def messages(server: RunningServer) -> list[str]:
    return [row["value"]["message"] for row in server.records()]


def arrived(server: RunningServer, *expected: str) -> None:
    wait_for(f"{expected}", lambda: messages(server) == list(expected), SECONDS)


def test_a_growing_file_is_sent_as_it_grows_and_resumed_where_it_was(server: Start, tmp_path: Path) -> None:
    running = server()
    path = tmp_path / "app.log"
    append(path, "a", "b")
    with following(running.url, path) as process:
        arrived(running, "a", "b")
        with path.open("ab") as file:
            file.write(json.dumps(event("c")).encode())
            file.flush()
            # Half a line is not sent; test_growing.py shows that it is not read.
            file.write(b"\n")
        arrived(running, "a", "b", "c")
        assert end(process) == (0, "acknowledged 3 events in 2 batches; 0 rejected, 0 retries\n", "")
    append(path, "d")
    with following(running.url, path) as process:
        arrived(running, "a", "b", "c", "d")
        assert end(process, signal.SIGINT)[0] == 130


def test_rotations_while_it_runs_and_while_it_does_not(server: Start, tmp_path: Path) -> None:
    running = server()
    path = tmp_path / "app.log"
    append(path, "a")
    with following(running.url, path) as process:
        arrived(running, "a")
        path.rename(tmp_path / "app.log.1")
        # The program still has the old file.
        append(tmp_path / "app.log.1", "b")
        append(path, "c")
        arrived(running, "a", "b", "c")
        # Copied and truncated.
        path.write_bytes(b"")
        append(path, "d")
        arrived(running, "a", "b", "c", "d")
        assert end(process)[0] == 0
    append(path, "e")
    for number, message in enumerate("fg"):
        (tmp_path / "app.log.1").rename(tmp_path / f"app.log.{3 - number}")
        path.rename(tmp_path / "app.log.1")
        append(path, message)
    with following(running.url, path) as process:
        arrived(running, *"abcdefg")
        assert end(process)[0] == 0


def test_a_file_that_comes_later_and_one_that_is_gone(server: Start, tmp_path: Path) -> None:
    running = server()
    path = tmp_path / "app.log"
    append(path, "a")
    with following(running.url, path) as process:
        arrived(running, "a")
        path.unlink()
        append(path, "b")
        arrived(running, "a", "b")
        end(process)
    path.unlink()
    append(path, "another")
    with following(running.url, path) as process:
        arrived(running, "a", "b", "another")
        assert "is gone" in end(process)[2]


def test_bad_lines_are_put_aside_or_end_the_run(server: Start, tmp_path: Path) -> None:
    running = server()
    path, rejected = tmp_path / "app.log", tmp_path / "rejected"
    append(path, "a")
    with path.open("ab") as file:
        file.write(b"{nonsense\n" + json.dumps(event("bad") | {"timestamp": "yesterday"}).encode() + b"\n")
    append(path, "b")
    ended = run("send", path, "--url", running.url, "--follow", "--state", tmp_path / "other")
    assert ended.returncode == 1
    assert "not a valid event" in ended.stderr
    with following(running.url, path, "--rejected", rejected) as process:
        arrived(running, "a", "b")
        assert end(process)[0] == 1
    assert [json.loads(line)["line"] for line in rejected.read_text().splitlines()] == [2, 3]


def test_a_bad_line_is_on_the_disk_before_it_is_passed_over(server: Start, tmp_path: Path) -> None:
    running = server()
    path, rejected = tmp_path / "app.log", tmp_path / "rejected"
    append(path, "a")
    with following(running.url, path, "--rejected", rejected) as process:
        arrived(running, "a")
        with path.open("ab") as file:
            file.write(b"{nonsense\n")
        append(path, "b")
        arrived(running, "a", "b")
        state = path.with_name("app.log.forebay")
        wait_for("the checkpoint", lambda: json.loads(state.read_bytes())["offset"] == path.stat().st_size)
        process.kill()
    with path.open("ab") as file:
        file.write(b"nonsense again\n")
    with following(running.url, path, "--rejected", rejected) as process:
        wait_for("the second", lambda: rejected.read_bytes().count(b"\n") == 2)
        end(process)
    assert [json.loads(line)["line"] for line in rejected.read_text().splitlines()] == [2, 4]


def test_it_waits_for_a_file_that_is_being_rotated(server: Start, tmp_path: Path) -> None:
    running = server()
    path = tmp_path / "app.log"
    with following(running.url, path) as process:
        append(path, "a")
        arrived(running, "a")
        assert end(process)[0] == 0
    append(path, "b")
    path.rename(tmp_path / "app.log.1")
    with following(running.url, path) as process:
        arrived(running, "a", "b")
        append(path, "c")
        arrived(running, "a", "b", "c")
        assert end(process)[0] == 0


def test_two_do_not_follow_with_one_state(server: Start, tmp_path: Path) -> None:
    running = server()
    path = tmp_path / "app.log"
    append(path, "a")
    with following(running.url, path) as process:
        arrived(running, "a")
        second = run("send", path, "--url", running.url, "--follow")
        assert (second.returncode, "another process follows" in second.stderr) == (1, True)
        end(process)
    assert run("send", "-", "--follow").returncode == 2
    assert run("send", path, "--state", "x").returncode == 2


def test_kills_and_rotations_lose_and_double_nothing(server: Start, tmp_path: Path) -> None:
    running = server()
    path = tmp_path / "app.log"
    draw = random.Random(3)
    written = 0
    append(path, "start")
    with following(running.url, path) as process:
        # Nobody can find a file that was rotated away before there is a state.
        arrived(running, "start")
        process.kill()
    for _ in range(KILLS):
        with following(running.url, path) as process:
            ends = time.monotonic() + draw.uniform(0.3, 0.6)
            while time.monotonic() < ends:
                append(path, *(f"m{number}" for number in range(written, written + 300)))
                written += 300
                if draw.random() < 0.05:
                    path.rename(tmp_path / f"app.log.{written}")
                    path.touch()
                # A machine of any speed writes about as much, and is done with sending it in about the same time.
                time.sleep(0.005)
            process.kill()
    with following(running.url, path) as process:
        expected = {"start", *(f"m{number}" for number in range(written))}
        with contextlib.suppress(AssertionError):
            wait_for("everything", lambda: running.totals().get("logs", 0) >= len(expected), SECONDS)
        assert sorted(expected - set(messages(running))) == []
        assert set(messages(running)) == expected
        assert end(process)[0] == 0
    found = Counter(messages(running))
    assert [message for message, count in found.items() if count > 1] == []
