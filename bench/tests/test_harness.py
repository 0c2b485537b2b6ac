from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness.report
from harness import runs, table
from harness.cache import Cache, Missing, need
from harness.chart import step_for
from harness.disk import SyncLatency
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
    assert harness.report.cell(table.Best.of(rounds).figures()) == "20 · 1.50 (3.00) · 5.00 / 8.00 (7 failed)"


def one_run(table: str, day: str, *rows: runs.Row, busy: float = 0.0) -> runs.Run:
    return runs.Run(table, f"{day}T00:00:00Z", "abc1234", list(rows), busy, "a machine", [SyncLatency(4096, 0.1, 0.2)])


def shape(per_second: float, cpu: float) -> runs.Row:
    closed = {"per_second": per_second, "cpu": cpu, "settled_cpu": cpu, "p50_ms": 1.0, "p99_ms": 2.0}
    return runs.Row("forebay", "fdatasync", {"batch 100, 32 conn.": closed})


def test_a_run_is_kept_and_read_again(tmp_path: Path) -> None:
    old, new = one_run("servers", "2026-01-01", shape(10, 2)), one_run("servers", "2026-01-02", shape(20, 1))
    for run in (new, old):
        run.save(tmp_path)
    assert runs.load_all(tmp_path) == [new, old]


def test_the_newest_row_of_everybody_is_shown_and_a_busy_machine_s_only_where_there_is_no_other() -> None:
    single = {runs.ALL: {"per_second": 5.0, "cpu": 1.0}}
    kept = [
        one_run("logs", "2026-01-03", runs.Row("a", "", single), runs.Row("b", "", single), busy=0.9),
        one_run("logs", "2026-01-02", runs.Row("a", "", single)),
        one_run("logs", "2026-01-01", runs.Row("a", "", single), runs.Row("c", "", single)),
    ]
    assert [(run.at[:10], one.who) for run, one in harness.report.newest(kept, "logs")] == [
        ("2026-01-02", "a"),
        ("2026-01-01", "c"),
        ("2026-01-03", "b"),
    ]


def test_forebay_is_compared_inside_of_one_run() -> None:
    peer = runs.Row("peer", "nothing", shape(5, 4).figures)
    kept = [one_run("servers", "2026-01-02", shape(40, 1)), one_run("servers", "2026-01-01", shape(10, 2), peer)]
    text = harness.report.table_text(kept, "servers")
    assert "| 2026-01-01 abc1234 | forebay beside peer |  | 2.0 times · 2.0 times less |" in text
    assert "40 · 1.00 (1.00) · 1.00 / 2.00" in text


def test_a_table_is_made_anew_between_its_head_and_its_mark() -> None:
    names = (*harness.report.TABLES, "runs")
    marks = "".join(f"| head |\n|---|\n| old |\n\n<!-- end of {name} -->\n" for name in names)
    text = harness.report.readme(marks, [one_run("servers", "2026-01-01", shape(10, 2))])
    assert "| old |" not in text
    assert (
        "[2026-01-01 abc1234](runs/2026-01-01-abc1234-servers.json) | servers | a machine | 4 KiB: 0.10 / 0.20" in text
    )
    with pytest.raises(ValueError, match="end of servers"):
        harness.report.readme("", [])


@pytest.mark.parametrize(("highest", "step"), [(1_855_667, 500_000), (2.4, 1.0), (1.3, 0.5), (4, 1), (0.07, 0.02)])
def test_the_lines_of_the_picture_are_round(highest: float, step: float) -> None:
    assert step_for(highest) == pytest.approx(step)
