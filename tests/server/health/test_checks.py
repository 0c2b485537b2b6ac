"""Each check finds what it is for, at its limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from forebay.server.config import Settings
from forebay.server.health.check_result import CheckResult, Level
from forebay.server.health.checks import all_checks
from forebay.server.health.checks.resources import memory_limit, resident_bytes
from forebay.server.health.checks.storage import PROBE_FILE, write_probe
from forebay.server.health.context import Figures
from server.health.scripted import MIB, NAMES, QueueStats, World


def world(directory: Path, **settings: Any) -> World:
    return World(Settings(data_dir=str(directory), **settings))


class Checks:
    def __init__(self, world: World) -> None:
        self._checks = dict(all_checks(world.context, lambda: world.figures, world.clock))

    def __call__(self, name: str) -> CheckResult:
        return self._checks[name]()


def test_there_are_seven(tmp_path: Path) -> None:
    there = world(tmp_path)
    names = [name for name, _check in all_checks(there.context, lambda: there.figures, there.clock)]
    assert names == NAMES
    for name in names:
        assert Checks(there)(name).level is Level.PASS, name


def test_ingestion_says_the_rate_and_why_events_would_be_refused(tmp_path: Path) -> None:
    there = world(tmp_path)
    there.figures = Figures(events_per_second=1250.5, total_events=1_000_000)
    found = Checks(there)("event_ingestion")
    assert (found.level, found.message) == (Level.PASS, "Event ingestion healthy: 1250.5 events/sec")
    assert found.metadata["eventsPerSecond"] == 1250.5
    assert found.metadata["totalEvents"] == 1_000_000
    there.engine.state |= {"ring_used_bytes": 100 * MIB}
    assert Checks(there)("event_ingestion").level is Level.WARNING
    there.engine.state |= {"mode": "poisoned", "reason": "a sync failed"}
    found = Checks(there)("event_ingestion")
    assert (found.level, found.message) == (Level.CRITICAL, "events are refused: the log is poisoned: a sync failed")
    there.stopping = True
    assert "shutting down" in Checks(there)("event_ingestion").message


def test_ingestion_has_room_for_bodies(tmp_path: Path) -> None:
    there = world(tmp_path)
    held = there.memory_budget.reserve(None)
    held.grow_to(100 * MIB)
    assert Checks(there)("event_ingestion").level is Level.WARNING


@pytest.mark.parametrize(("waited", "level"), [(499, Level.PASS), (500, Level.WARNING), (5000, Level.CRITICAL)])
def test_processing_looks_at_the_longest_wait(tmp_path: Path, waited: float, level: Level) -> None:
    there = world(tmp_path)
    there.engine.now = QueueStats(jobs_waiting=3, oldest_job_ms=waited)
    found = Checks(there)("event_processing")
    assert (found.level, found.metadata["oldestJobMs"]) == (level, waited)


def test_processing_misses_workers(tmp_path: Path) -> None:
    """This process has no engine, so no worker is alive."""
    there = world(tmp_path)
    there.engine.state["workers"] = 4
    found = Checks(there)("event_processing")
    assert (found.level, found.message) == (Level.CRITICAL, "0 of 4 workers are alive")


def test_processing_names_the_first_problems_of_processors(tmp_path: Path) -> None:
    there = world(tmp_path)
    there.processor_problems = ["the processor 'a' has failed"]
    found = Checks(there)("event_processing")
    assert (found.level, found.message) == (Level.WARNING, "the processor 'a' has failed")
    there.processor_problems = ["a", "b", "c", "d", "e"]
    found = Checks(there)("event_processing")
    assert (found.message, found.metadata["processorProblems"]) == ("a; b; c; and 2 more", 5)


def test_storage_leaves_nothing_behind(tmp_path: Path) -> None:
    there = world(tmp_path)
    found = Checks(there)("log_storage")
    assert found.level is Level.PASS
    assert found.metadata["probeMs"] > 0
    assert list(tmp_path.iterdir()) == []
    # One that a crash left is no hindrance; a link is not followed.
    (tmp_path / PROBE_FILE).write_bytes(b"x" * 10_000)
    assert Checks(there)("log_storage").level is Level.PASS
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / PROBE_FILE).symlink_to(tmp_path / "elsewhere")
    assert Checks(there)("log_storage").level is Level.CRITICAL
    assert (tmp_path / "elsewhere").read_bytes() == b"kept"


def test_storage_says_that_the_clock_is_not_believed(tmp_path: Path) -> None:
    there = world(tmp_path)
    assert Checks(there)("log_storage").metadata["clockUnprovenSeconds"] is None
    for unproven, said in ((691_200.0, "8 days, 0:00:00 ahead of"), (-3_661.0, "1:01:01 behind")):
        there.engine.state["clock_doubt"] = (unproven, 86_399.6)
        found = Checks(there)("log_storage")
        assert found.level is Level.WARNING
        for part in (said, "POST /api/clock/release", "or 1 day, 0:00:00 have passed"):
            assert part in found.message
        assert found.metadata["clockUnprovenSeconds"] == unproven
    there.engine.state["clock_doubt"] = None
    there.engine.state["clock_problem"] = "the file cannot be written"
    assert "the file cannot be written" in Checks(there)("log_storage").message


def test_storage_names_what_is_wrong(tmp_path: Path) -> None:
    there = world(tmp_path / "missing")
    found = Checks(there)("log_storage")
    assert (found.level, "No such file or directory" in found.message) == (Level.CRITICAL, True)

    there = world(tmp_path)
    there.engine.state["sealer_stuck"] = "cannot write a segment"
    there.engine.state["troubles"] = ["cannot merge the state files: Too many open files"]
    there.engine.state["seal_backlog_files"] = 8
    there.engine.state["damages"] = [
        {"file": f"segments/{number}", "range": (512, 100), "stream": "logs", "what": "bad checksum"}
        for number in range(30)
    ]
    found = Checks(there)("log_storage")
    assert found.level is Level.WARNING
    for part in (
        "sealing does not get on: cannot write a segment",
        "cannot merge the state files: Too many open files",
        "8 full journal files are not sealed yet, at or beyond 8",
        "segments/0 bytes 512 to 612 (stream logs): bad checksum",
        "and 27 more",
    ):
        assert part in found.message
    assert (found.metadata["damagesTotal"], len(found.metadata["damages"])) == (30, 20)
    there.engine.state |= {"mode": "full", "reason": "no space is left"}
    found = Checks(there)("log_storage")
    assert (found.level, found.message) == (Level.CRITICAL, "the log is full: no space is left")


def test_a_log_that_is_read_only_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("it was written to")

    monkeypatch.setattr("forebay.server.health.checks.storage.write_probe", forbidden)
    there = world(tmp_path)
    there.engine.state |= {"mode": "read_only", "reason": "the journal is damaged"}
    assert Checks(there)("log_storage").message == "the log is read_only: the journal is damaged"


def test_storage_says_a_weaker_promise(tmp_path: Path) -> None:
    found = Checks(world(tmp_path, durability="memory"))("log_storage")
    assert found.level is Level.PASS
    assert "acknowledgements promise 'memory' and not 'fsync', as configured" in found.message
    assert found.metadata["durability"] == "memory"


def test_a_slow_probe_warns(tmp_path: Path) -> None:
    found = Checks(world(tmp_path, health_storage_probe_warning_ms=0.001))("log_storage")
    assert found.level is Level.WARNING
    assert "writing and syncing a probe took" in found.message


def test_the_probe_syncs_before_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        assert (tmp_path / PROBE_FILE).exists()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"):
        write_probe(tmp_path)
    assert synced == [4096]
    assert not (tmp_path / PROBE_FILE).exists()
    assert "Input/output error" in Checks(world(tmp_path))("log_storage").message


def test_commit_latency_is_that_of_the_window(tmp_path: Path) -> None:
    there = world(tmp_path)
    checks = Checks(there)
    there.engine.now = QueueStats(taken=[5000.0] * 100)
    assert checks("commit_latency").level is Level.PASS, "what was before the first look is no news"
    for now, milliseconds, level in (
        (10, 249.0, Level.PASS),
        (20, 250.0, Level.WARNING),
        (30, 2000.0, Level.CRITICAL),
        (60, 1.0, Level.CRITICAL),
        (99, 1.0, Level.PASS),
    ):
        there.clock.now = now
        there.engine.now = QueueStats(taken=[*there.engine.now.taken, milliseconds])
        found = checks("commit_latency")
        assert found.level is level, (now, found)
    assert found.metadata["windowSeconds"] == 69, "from the sample before the window to now"


def test_commits_that_stand_still_are_noticed(tmp_path: Path) -> None:
    there = world(tmp_path)
    checks = Checks(there)
    there.engine.now = QueueStats(commits_waiting=3, taken=[1.0])
    assert checks("commit_latency").level is Level.PASS
    levels = []
    for there.clock.now in (1, 1.2, 1.3, 3.0):
        levels.append(checks("commit_latency").level)
    assert levels == [Level.PASS, Level.PASS, Level.WARNING, Level.CRITICAL]
    there.engine.now = QueueStats(commits_waiting=3, taken=[1.0, 1.0])
    assert checks("commit_latency").level is Level.PASS


def test_without_any_stream_no_queue_is_full(tmp_path: Path) -> None:
    there = world(tmp_path)
    there.engine.rings = {}
    assert Checks(there)("queue_depth").level is Level.PASS


def test_queues_are_as_full_as_the_fullest_of_them(tmp_path: Path) -> None:
    there = world(tmp_path)
    there.engine.rings = {"logs": 34 * MIB, "orders": 1}
    assert Checks(there)("queue_depth").level is Level.PASS
    there.engine.rings["orders"] = 35 * MIB
    found = Checks(there)("queue_depth")
    assert (found.level, "share of stream 'orders' is 70 % full" in found.message) == (Level.WARNING, True)
    there.engine.state["ring_used_bytes"] = 95 * MIB
    assert Checks(there)("queue_depth").message == "the ring is 95 % full, at or beyond the limit of 95"
    there.engine.state["ring_used_bytes"] = 0
    held = there.memory_budget.reserve(None)
    held.grow_to(96 * MIB)
    assert "bodies under way is 96 % full" in Checks(there)("queue_depth").message


def test_the_senders_own_errors_only_warn(tmp_path: Path) -> None:
    there = world(tmp_path)
    checks = Checks(there)
    assert checks("error_rate").level is Level.PASS
    there.figures = Figures(total_events=0, validation_errors=1000)
    assert checks("error_rate").level is Level.WARNING
    assert checks("error_rate").message == "100.0 % of 1000 events were invalid, at or beyond the limit of 5"
    there.figures = Figures(total_events=19_000, validation_errors=500, storage_errors=500)
    assert checks("error_rate").level is Level.PASS
    there.figures = Figures(total_events=19_000, validation_errors=500, storage_errors=1500)
    assert checks("error_rate").message == "7.1 % of 21000 events could not be stored, at or beyond the limit of 5"
    there.figures = Figures(total_events=19_000, storage_errors=500, validation_errors=1000, processing_errors=25_000)
    found = checks("error_rate")
    assert found.level is Level.CRITICAL
    assert found.metadata["failedEvents"] == 25_500


def test_few_events_and_old_ones_do_not_count(tmp_path: Path) -> None:
    there = world(tmp_path)
    there.figures = Figures(storage_errors=1_000_000)
    checks = Checks(there)
    assert checks("error_rate").level is Level.PASS, "they were before the first look"
    there.figures = Figures(storage_errors=1_000_019)
    assert checks("error_rate").level is Level.PASS, "nineteen"
    there.figures = Figures(storage_errors=1_000_020)
    assert checks("error_rate").level is Level.CRITICAL
    there.clock.now = 6
    checks("error_rate")
    there.clock.now = 70
    assert checks("error_rate").level is Level.PASS
    there.figures = Figures(total_events=5)
    assert checks("error_rate").metadata["events"] == 0, "a reset begins anew"


def test_resources_against_their_limits(tmp_path: Path) -> None:
    assert Checks(world(tmp_path))("system_resources").metadata["fileHandles"] > 2
    found = Checks(world(tmp_path, health_free_disk_critical_bytes=1 << 60))("system_resources")
    assert (found.level, "of disk are free, less than" in found.message) == (Level.CRITICAL, True)
    found = Checks(world(tmp_path, health_file_handles_warning_percent=0.0001))("system_resources")
    assert (found.level, "of the file handles are used" in found.message) == (Level.WARNING, True)
    found = Checks(world(tmp_path, health_memory_warning_percent=0.0001))("system_resources")
    assert (found.level, "of the memory is used" in found.message) == (Level.WARNING, True)
    assert MIB < resident_bytes() < memory_limit()
