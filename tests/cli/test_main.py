"""`forebay inspect` and `forebay read`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import forebay
from forebay.cli.commands.source import source
from support.harness import RunningServer, batch, event, run

Start = Callable[..., RunningServer]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with one stream of two partitions."""
    path = tmp_path_factory.mktemp("cli") / "data"
    with forebay.open(path) as log:
        log.create_stream("orders", partitions=2)
        for number in range(2500):
            if number % 500 == 0:
                records = [forebay.Record({"n": number + i}, key="k", timestamp=number + i) for i in range(500)]
                log.append("orders", records, partition=0)
        log.append("orders", forebay.Record("é", timestamp=1_717_169_445_123_456), partition=1)
    return path


def lines(ended: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert (ended.returncode, ended.stderr) == (0, "")
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_read_prints_every_record_in_order(directory: Path) -> None:
    found = lines(run("read", "orders", "--data-dir", directory))
    assert [line["offset"] for line in found] == [*range(2500), 0]
    assert [line["value"] for line in found[:2500]] == [{"n": n} for n in range(2500)]
    assert found[-1] == {
        "partition": 1,
        "offset": 0,
        "timestamp": "2024-05-31T15:30:45.123456Z",
        "key": None,
        "value": "é",
    }
    assert list(found[0]) == ["partition", "offset", "timestamp", "key", "value"]


@pytest.mark.slow
def test_read_from_to(directory: Path) -> None:
    arguments = ("read", "orders", "--data-dir", directory, "--partition", 0)
    found = lines(run(*arguments, "--from", 1400, "--max", 3))
    assert [line["offset"] for line in found] == [1400, 1401, 1402]
    assert lines(run(*arguments, "--from", 2500)) == []
    assert lines(run(*arguments, "--max", 0)) == []
    assert len(lines(run("read", "orders", "--data-dir", directory, "--max", 2501))) == 2501


def test_inspect_shows_offsets_records_and_bytes(directory: Path) -> None:
    ended = run("inspect", "--data-dir", directory)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "orders: 2,501 records; 0 segments of 0 bytes (0 before compression); " in ended.stdout
    assert "partition 0: 2,500 records, offsets 0 to 2499; the next offset is 2500" in ended.stdout
    assert "partition 1: 1 record, offset 0; the next offset is 1" in ended.stdout


def test_inspect_shows_nothing_of_itself_for_a_stopped_log(directory: Path) -> None:
    state = run("inspect", "--data-dir", directory).stdout.partition("state:\n")[2].splitlines()
    assert [line.split(":")[0].strip() for line in state] == ["damages", "free_disk_bytes"]
    assert state[0] == "  damages: none"


def test_inspect_prints_the_same_as_json(directory: Path) -> None:
    ended = run("inspect", "--data-dir", directory, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    orders = next(stream for stream in found["streams"] if stream["name"] == "orders")
    assert [row["endOffset"] for row in orders["partitionDetails"]] == [2500, 1]
    assert found["state"]["damages"] == []


@pytest.mark.slow
def test_read_the_last_of_each_partition(directory: Path) -> None:
    arguments = ("read", "orders", "--data-dir", directory)
    found = lines(run(*arguments, "--last", 2))
    assert [(line["partition"], line["offset"]) for line in found] == [(0, 2498), (0, 2499), (1, 0)]
    assert lines(run(*arguments, "--last", 0)) == []
    both = run(*arguments, "--last", 1, "--from", 1, "--partition", 0)
    assert (both.returncode, "--from or --last" in both.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("read", "nothing"), 1, "stream_not_found: there is no stream 'nothing'"),
        (("read", "orders", "--from", "1"), 2, "an offset needs --partition"),
        (("read", "orders", "--partition", "2"), 1, "partition is 2, but stream 'orders' has 2"),
        (("read", "orders", "--partition", "0", "--from", "2502"), 1, "invalid_offset"),
        (("read", "orders", "--from", "latest"), 2, "neither 'earliest' nor an offset"),
        (("read", "orders", "--url", "http://x"), 2, "not both"),
    ],
)
def test_mistakes_are_one_line_and_a_status(
    directory: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    ended = run(*arguments, "--data-dir", directory)
    assert (ended.returncode, message in ended.stderr) == (status, True), ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_places_that_are_not_there(tmp_path: Path) -> None:
    missing = run("read", "logs", "--data-dir", tmp_path / "missing")
    assert (missing.returncode, "there is no data directory" in missing.stderr) == (2, True)
    unreachable = run("read", "logs", "--url", "http://127.0.0.1:1")
    assert unreachable.returncode == 1
    assert unreachable.stderr == "forebay: cannot reach http://127.0.0.1:1: Connection refused\n"
    assert run("read", "logs", "--url", "ftp://x").returncode == 2


def test_a_closed_pipe_is_quiet(directory: Path) -> None:
    command = f"{sys.executable} -m forebay read orders --data-dir {directory} | head -n 1"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr, len(ended.stdout.splitlines())) == (0, "", 1)


@pytest.mark.slow
def test_a_live_directory_is_refused_and_its_url_reads_the_same(server: Start) -> None:
    running = server()
    running.drain(batch(*[event(str(number), project=f"p{number % 5}") for number in range(20)]))
    for command in (["read", "logs"], ["inspect"]):
        refused = run(*command, "--data-dir", running.data_dir)
        assert (refused.returncode, "--url" in refused.stderr) == (1, True)
        assert "stop it first" not in refused.stderr
    live = run("read", "logs", FOREBAY_URL=running.url)
    assert len(lines(live)) == 20
    live_state = run("inspect", "--url", running.url).stdout
    assert "logs: 20 records" in live_state
    assert live_state.endswith("state:\n  durability: fsync\n  ready: yes\n")
    missing = run("read", "nothing", "--url", running.url)
    assert (missing.returncode, "stream_not_found" in missing.stderr) == (1, True)
    assert running.terminate() == 0
    assert run("read", "logs", "--data-dir", running.data_dir).stdout == live.stdout


@pytest.mark.slow
def test_a_connection_that_the_server_closed_is_opened_again(server: Start) -> None:
    running = server()
    running.drain(batch(event("a")))
    with source(None, running.url, None) as opened:
        before = opened.streams()
        port = urlsplit(running.url).port
        running.kill()
        server("--port", str(port))
        assert opened.streams()[0]["name"] == before[0]["name"]


def test_version() -> None:
    assert run("--version").stdout == f"forebay, version {forebay.__version__}\n"
