from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import table
from harness.cache import Cache, Missing, need
from harness.load import Measurement, summary
from harness.process import Cores, Process, accepts, cpu_seconds, free_port

SPIN = "import time\nwhile time.process_time() < {seconds}: pass"
CORES = Cores.available()


def test_cpu_time_covers_running_and_ended_descendants() -> None:
    inner = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SPIN.format(seconds=0.2)!r}])\n"
    hold = "sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", f"{inner}{SPIN.format(seconds=0.2)}\nprint(flush=True)\n{hold}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 0.36 <= cpu_seconds([child.pid]) < 1.0
        child.kill()


def test_a_process_is_pinned_and_stopped(tmp_path: Path) -> None:
    port = free_port()
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    process = Process(server, CORES.server, tmp_path / "log")
    process.wait_until(lambda: accepts(port))
    assert os.sched_getaffinity(process.child.pid) == CORES.server
    process.stop()
    assert not accepts(port)


def test_a_process_that_dies_is_reported_with_its_log(tmp_path: Path) -> None:
    process = Process([sys.executable, "-c", "raise SystemExit('why it died')"], CORES.server, tmp_path / "log")
    with pytest.raises(RuntimeError, match="why it died"):
        process.wait_until(lambda: False)
    process.stop()


def test_something_is_installed_once_per_recipe(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path), []
    for recipe in ("a", "a", "b"):
        cache.installed("thing", recipe, made.append)
    assert len(made) == 2


def test_a_failed_installation_is_made_again(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path), []

    def install(place: Path) -> None:
        made.append(place)
        (place / "half").touch()
        if len(made) == 1:
            raise RuntimeError("the registry is away")

    with pytest.raises(RuntimeError):
        cache.installed("thing", "a", install)
    assert (cache.installed("thing", "a", install) / "half").exists()
    assert len(made) == 2


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(Missing, match="no-such-tool"):
        need("no-such-tool", "the test")


def report(**changes: object) -> dict[str, object]:
    latency = {"p50_ms": 1.0, "p99_ms": 2.0}
    zeros = ("connection_failures", "timeouts", "unsent_requests", "unanswered_requests")
    plain: dict[str, object] = {
        **dict.fromkeys(zeros, 0),
        "events_per_second": 1000.0,
        "acknowledged_events": 2000,
        "total_acknowledged_events": 4000,
        "statuses": {"202": 20},
        "latency": latency,
        "send_lag": latency,
    }
    return {**plain, **changes}


def test_cpu_time_is_divided_by_the_events_of_its_own_interval() -> None:
    one = summary(report(), cpu=0.004, settled_cpu=0.006)
    assert (one.cpu_s_per_million, one.settled_cpu_s_per_million) == (pytest.approx(2.0), pytest.approx(1.5))
    assert one.failures == 0


def test_every_kind_of_failure_is_counted() -> None:
    one = summary(
        report(statuses={"202": 1, "429": 2, "503": 3}, timeouts=4, unanswered_requests=5, unsent_requests=6), 0.0, 0.0
    )
    assert (one.failures, one.queued) == (14, 6)


def test_the_best_of_each_figure_is_kept_and_failures_show() -> None:
    rounds = [Measurement(10.0, 5.0, 9.0, 2.0, 3.0, 0, 0, 0.0), Measurement(20.0, 6.0, 8.0, 1.5, 4.0, 7, 0, 0.0)]
    assert table.Best.of(rounds) == table.Best(20.0, 5.0, 8.0, 1.5, 3.0, 7)
    assert table.Best.of(rounds).cell() == "20 · 1.50 (3.00) · 5.00 / 8.00 (7 failed)"


def test_rows_are_appended_to_their_own_table(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("| a |\n|---|\n| 0 |\n\n<!-- end of one -->\n\n| b |\n|---|\n\n<!-- end of two -->\nrest\n")
    table.append(["| 1 |"], "one", readme)
    table.append(["| 2 |"], "two", readme)
    table.append(["| 3 |"], "two", readme)
    assert readme.read_text() == (
        "| a |\n|---|\n| 0 |\n| 1 |\n\n<!-- end of one -->\n\n| b |\n|---|\n| 2 |\n| 3 |\n\n<!-- end of two -->\nrest\n"
    )
    with pytest.raises(ValueError, match="three"):
        table.append(["| 4 |"], "three", readme)
