"""`forebay bench` against a real server."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forebay.server.process import clean_environment
from support.harness import RunningServer, run, wait_for

pytestmark = pytest.mark.slow

BENCH_SECONDS = 60.0


def stored(running: RunningServer) -> int:
    with running.client() as client:
        total: int = client.get("/api/v1/streams/logs").json()["totalMessages"]
        return total


def test_a_closed_loop_stores_what_it_reports(shared_server: RunningServer, tmp_path: Path) -> None:
    before = stored(shared_server)
    hdr = tmp_path / "latency.hgrm"
    options = ("--batch", 7, "--connections", 3, "--duration", 0.5, "--warmup", 0.1)
    ended = run("bench", shared_server.url, *options, "--json", "--hdr", hdr)
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert (report["pacing"], report["batch"], report["connections"]) == ("closed", 7, 3)
    assert report["total_acknowledged_events"] == stored(shared_server) - before
    assert set(report["statuses"]) == {"202"}
    assert 0 < report["latency"]["p50_ms"] <= report["latency"]["p99_9_ms"] <= report["latency"]["max_ms"]
    rows = hdr.read_text().splitlines()
    assert rows[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    last = [row.split() for row in rows if row and not row.startswith("#")][-1]
    assert (float(last[1]), int(last[2])) == (1.0, report["latency"]["count"])


@pytest.mark.parametrize(
    ("content", "stream", "batch", "status"),
    [
        ("event", "events", 1, "200"),
        ("event-batch", "events", 100, "200"),
        ("track", "analytics", 1, "202"),
    ],
)
def test_each_content_goes_where_it_belongs(
    shared_server: RunningServer, content: str, stream: str, batch: int, status: str
) -> None:
    ended = run("bench", shared_server.url, "--content", content, "--duration", 0.3, "--warmup", 0, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert (set(report["statuses"]), report["batch"]) == ({status}, batch)
    with shared_server.client() as client:
        assert client.get(f"/api/v1/streams/{stream}").json()["totalMessages"] >= report["total_acknowledged_events"]


def test_an_open_loop_keeps_its_rate_and_prints_the_figures(shared_server: RunningServer) -> None:
    # A busy machine may answer late once or twice; a load that is not the one asked for misses its rate each time.
    assert any(abs(rate_of_open_loop(shared_server) - 2000) < 200 for _ in range(5))


def rate_of_open_loop(shared_server: RunningServer) -> float:
    ended = run("bench", shared_server.url, "--rate", 2000, "--batch", 10, "--duration", 1, "--warmup", 0.1)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "open loop, 32 connections, batch 10, 1.0 s, 2,000 events/s offered" in ended.stdout
    assert "refused        none" in ended.stdout
    for word in ("p50", "p90", "p99", "p99.9", "max", "from when each was due"):
        assert word in ended.stdout
    return float(ended.stdout.split("acknowledged")[1].split()[0].replace(",", ""))


def test_refusals_are_counted_by_status(shared_server: RunningServer) -> None:
    ended = run("bench", shared_server.url + "/v1/nothing", "--duration", 0.2, "--warmup", 0)
    assert ended.returncode == 1, "nothing was acknowledged"
    assert "404: " in ended.stdout
    assert ended.stderr.startswith("forebay: nothing was acknowledged; ")
    assert "/v1/nothing answered 404 to " in ended.stderr


def test_a_fetch_counts_requests_not_events(shared_server: RunningServer) -> None:
    ended = run(
        "bench", shared_server.url + "/health", "--content", "fetch", "--duration", 0.2, "--warmup", 0, "--json"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert (report["batch"], report["acknowledged_events"]) == (1, report["acknowledged_requests"])


def test_contents_for_no_fixed_path_need_the_whole_url() -> None:
    for content, path in (
        ("publish", "/api/v1/streams/NAME/events"),
        ("publish-batch", "/api/v1/streams/NAME/events/batch"),
        ("fetch", "/api/v1/streams/NAME/records"),
    ):
        ended = run("bench", "http://127.0.0.1:1", "--content", content)
        assert (ended.returncode, f"such as http://127.0.0.1:1{path};" in ended.stderr) == (2, True), ended.stderr
    batched = run("bench", "http://127.0.0.1:1/health", "--content", "fetch", "--batch", 5)
    assert (batched.returncode, "--batch counts events" in batched.stderr) == (2, True)


def test_an_interrupt_ends_the_load_with_a_report(shared_server: RunningServer) -> None:
    before = stored(shared_server)
    command = [sys.executable, "-m", "forebay", "bench", shared_server.url, "--duration", "600", "--warmup", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment()) as process:
        wait_for("the load", lambda: stored(shared_server) > before)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=BENCH_SECONDS)
    assert process.returncode == 130
    assert "closed loop" in output


def test_mistakes_are_one_line_and_a_status(shared_server: RunningServer) -> None:
    for arguments, status, message in (
        (("http://127.0.0.1:1",), 1, "no connection to 127.0.0.1:1"),
        ((shared_server.url, "--batch", "0"), 2, "batch must be between 1 and 10000"),
        ((shared_server.url, "--rate", "-1"), 2, "rate must be above 0"),
        ((shared_server.url, "--header", "nothing"), 2, "must read 'name: value'"),
        (("https://127.0.0.1:1",), 2, "must begin with http://"),
        ((shared_server.url, "--duration", "-1"), 1, "negative"),
    ):
        ended = run("bench", *arguments)
        assert (ended.returncode, message in ended.stderr) == (status, True), (arguments, ended.stderr)
        assert "Traceback" not in ended.stderr
