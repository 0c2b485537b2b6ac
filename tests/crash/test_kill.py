"""SIGKILL under HTTP load, against a ledger outside of the server."""

import logging
import os
import random
from pathlib import Path

import pytest

from forebay.cli.torture import Plan, run

pytestmark = pytest.mark.slow

log = logging.getLogger("torture")

KILLS = int(os.environ.get("FOREBAY_KILLS", "20"))
"""`make torture` runs more. A kill takes one to two seconds."""

START_SECONDS = 120.0
"""Recovery replays at most a ring of 8 MiB, in milliseconds; the rest is for Python on a busy machine."""


def test_no_kill_loses_doubles_or_halves_a_batch(tmp_path: Path) -> None:
    seed = int(os.environ.get("FOREBAY_SEED", "") or random.randrange(1 << 32))
    report = run(Plan(tmp_path, KILLS, seed, start_seconds=START_SECONDS), log.info)
    text = "\n".join(report.lines())
    log.info(report)
    assert report.passed, text
    assert sum(report.kills.values()) == KILLS
    # Else it has tried nothing: there has to be what a crash could lose, and what it could halve.
    assert report.kills["under load"] >= KILLS // 2
    assert report.acknowledged[1] > 500 * KILLS
    assert report.unanswered > 0
    # Deleted segments: sealing, recycling and retention were all under way.
    assert report.events_expired > 0
    assert max(report.start_seconds) < START_SECONDS


def test_a_process_of_weaker_durability_keeps_its_promises_too(tmp_path: Path) -> None:
    for durability in ("interval", "memory"):
        directory = tmp_path / durability
        directory.mkdir()
        report = run(Plan(directory, 3, 7, durability=durability))
        assert report.passed, "\n".join(report.lines())
