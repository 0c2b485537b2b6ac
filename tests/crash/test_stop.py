"""SIGTERM: under load, twice, during the start, with requests that never end."""

import random
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from forebay.cli.torture import Outcome, StartFailed, Victim
from support.harness import START_SECONDS, wait_for
from support.torment import Torment

pytestmark = pytest.mark.slow

STOP_SECONDS = 5.0
"""Without slow requests a stop is one commit and the seal under way; the rest is for a busy machine."""


def connect(victim: Victim) -> socket.socket:
    parts = urlsplit(victim.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)


def signal_until_gone(victim: Victim, signals: Sequence[signal.Signals], seconds: float) -> None:
    def is_gone() -> bool:
        if victim.status() is None:
            victim.signal(random.choice(signals))
        return victim.status() is not None

    wait_for("the stop", is_gone, seconds)


def test_under_load_nothing_answered_is_lost_and_nothing_unanswered_stored(tmp_path: Path) -> None:
    with Torment(tmp_path) as tormented:
        for batches in (1, 20, 100, 300, 30):
            tormented.start()
            seconds = tormented.end(tormented.load(batches))
            assert seconds < STOP_SECONDS
            tormented.check(stopped=True)
        assert tormented.ledger.count(Outcome.ACKNOWLEDGED)[0] > 300


def test_more_signals_while_stopping_change_nothing(tmp_path: Path) -> None:
    with Torment(tmp_path) as tormented:
        for _round in range(5):
            tormented.start()
            load = tormented.load(20)
            load.ending.set()
            signal_until_gone(tormented.victim, (signal.SIGTERM, signal.SIGINT), STOP_SECONDS)
            assert tormented.victim.status() == 0, tormented.victim.log_text()
            load.join()
            assert not load.findings, load.findings
            tormented.check(stopped=True)


def test_requests_that_never_end_hold_a_loaded_server_for_the_timeout_only(tmp_path: Path) -> None:
    with Torment(tmp_path, shutdown_timeout_seconds=1) as tormented:
        tormented.start()
        load = tormented.load(20)
        head = b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        half_sent = (
            b"",
            b"P",
            head,
            head + b"\r\n",
            head + b'\r\n{"events":[',
            head.replace(b"POST", b"GET") + b"\r\n{",
        )
        slow = [connect(tormented.victim) for _ in half_sent]
        for connection, sent in zip(slow, half_sent, strict=True):
            connection.sendall(sent)
        seconds = tormented.end(load)
        assert seconds < 1 + STOP_SECONDS
        for connection in slow:
            with connection:
                # An answer or nothing, and then the end.
                try:
                    text = connection.recv(1 << 16)
                    assert not text or text.startswith(b"HTTP/1.1 "), text
                    assert b" 202 " not in text
                except ConnectionResetError:
                    pass
        tormented.check(stopped=True)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1])
def test_during_the_start(tmp_path: Path, share: float) -> None:
    with Torment(tmp_path) as tormented:
        tormented.start()
        load = tormented.load(50)
        load.ending.set()
        # So that there is something to recover.
        tormented.victim.kill()
        load.join()
        began = time.monotonic()
        tormented.start()
        took = time.monotonic() - began
        tormented.victim.kill()
        tormented.victim.spawn()
        with pytest.raises(subprocess.TimeoutExpired):
            tormented.victim.wait(share * took)
        tormented.victim.signal(signal.SIGTERM)
        # Before Python can take it, the signal ends the process as it ends any other.
        assert tormented.victim.wait(STOP_SECONDS) in (0, -signal.SIGTERM), tormented.victim.log_text()
        assert "Traceback" not in tormented.victim.log_text()
        tormented.check(stopped=False)


def test_as_soon_as_it_serves(tmp_path: Path) -> None:
    with Torment(tmp_path) as tormented:
        for _round in range(3):
            tormented.start()
            tormented.victim.signal(signal.SIGTERM)
            assert tormented.victim.wait(STOP_SECONDS) == 0


def test_a_supervisor_that_signals_until_it_is_gone(tmp_path: Path) -> None:
    """Signals from the first instruction on: it ends, at whatever point, and the directory opens again."""
    with Torment(tmp_path) as tormented:
        tormented.victim.spawn()
        signal_until_gone(tormented.victim, (signal.SIGTERM,), START_SECONDS)
        with pytest.raises((StartFailed, subprocess.TimeoutExpired)):
            tormented.victim.await_serving(0.1)
        tormented.start()
        tormented.end(tormented.load(5))
        tormented.check(stopped=True)
