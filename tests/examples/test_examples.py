"""Each program of `examples/` does what it says, against a real server or on a real directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.server.process import clean_environment
from support.harness import COMMAND_SECONDS, RunningServer, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("server") / "data", auth=True).start()
    yield running
    running.stop()


def command(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / program), *map(str, arguments)]


def environment(server: RunningServer | None = None) -> dict[str, str]:
    if server is None:
        return clean_environment()
    return clean_environment() | {"FOREBAY_URL": server.url, "FOREBAY_TOKEN": server.first_token()}


def ended(
    server: RunningServer | None, directory: Path, *words: object, text: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    program, *arguments = words
    return subprocess.run(
        command(str(program), *arguments),
        cwd=directory,
        env=environment(server) | variables,
        input=text,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def ran(server: RunningServer | None, directory: Path, *words: object, text: str = "") -> str:
    """The program's output; it says nothing on stderr and ends with status 0."""
    done = ended(server, directory, *words, text=text)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_every_example_is_listed_and_tested() -> None:
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    listed = (EXAMPLES / "README.md").read_text()
    tested = Path(__file__).read_text()
    assert len(programs) == 5
    for program in programs:
        assert f"({program})" in listed
        assert f'"{program}"' in tested


@pytest.mark.parametrize(
    "words", [("group_worker.py",), ("live_tail.py",), ("embedded_log.py",), ("embedded_log.py", "--help")]
)
def test_without_its_arguments_a_program_says_which(words: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        command(*words), cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"python examples/{words[0]} " in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_lines_are_sent(server: RunningServer, tmp_path: Path) -> None:
    before = server.totals().get("logs", 0)
    text = "".join(f"line {number}\n" for number in range(1200))
    assert ran(server, tmp_path, "send_lines.py", text=text) == "1200 events stored\n"
    assert server.totals().get("logs", 0) - before == 1200


def test_the_worker_s_logs_and_figures_arrive(server: RunningServer, tmp_path: Path) -> None:
    logs, analytics = server.totals().get("logs", 0), server.totals().get("analytics", 0)
    expected = "57 events delivered, 0 refused, 0 left in the spool\n"
    done = ended(server, tmp_path, "instrumented_worker.py", 30)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
    assert done.stderr.count(":resized\n") == 27
    assert server.totals().get("logs", 0) - logs == 30
    assert server.totals().get("analytics", 0) - analytics == 27


def test_the_worker_says_that_its_token_is_refused(server: RunningServer, tmp_path: Path) -> None:
    done = ended(server, tmp_path, "instrumented_worker.py", 3, FOREBAY_TOKEN="wrong")
    assert (done.returncode, done.stdout) == (1, "0 events delivered, 6 refused, 0 left in the spool\n")
    assert "refuses this client's token (401: the token is unknown)" in done.stderr


def test_members_share_a_stream_and_commit(server: RunningServer, tmp_path: Path) -> None:
    events = [{"key": f"user-{number}", "value": {"number": number}} for number in range(40)]
    with server.client() as client:
        client.post("/api/v1/streams", json={"name": "orders", "partitions": 4}).raise_for_status()
        client.post("/api/v1/streams/orders/events/batch", json={"events": events}).raise_for_status()
    lines = ran(server, tmp_path, "group_worker.py", "orders", "billing", "worker-1", 40).splitlines()
    assert len(lines) == 40
    with server.client() as client:
        group = client.get("/api/v1/consumers/billing").raise_for_status().json()
        assert (group["lag"], group["members"]) == (0, [])
        client.post("/api/v1/streams/orders/events", json=events[7]).raise_for_status()
    # The next worker goes on behind what was committed.
    (line,) = ran(server, tmp_path, "group_worker.py", "orders", "billing", "worker-2", 1).splitlines()
    assert line.endswith('user-7: {"number": 7}')


@pytest.mark.slow
def test_a_tail_goes_on_after_a_restart(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data", auth=True).start()
    port = server.url.rpartition(":")[2]
    output = tmp_path / "output"
    words = command("live_tail.py", "events", "value.data.amount > 10.0")
    try:
        with output.open("wb") as out, subprocess.Popen(words, env=environment(server), stdout=out, stderr=out) as tail:
            try:
                publish = {"type": "purchase", "source": "web_app"}

                def shows(amount: float) -> bool:
                    # A tail shows what comes after it was opened, so until the first is shown another one is sent.
                    with server.client() as client:
                        body = publish | {"data": {"amount": amount}}
                        client.post("/api/events", json=body).raise_for_status()
                    return f'"amount": {amount}' in output.read_text()

                wait_for("the first event", lambda: shows(11.5))
                server.terminate()
                # On the port of before, where the tail looks for it.
                server = RunningServer(tmp_path / "data", "--port", port, auth=True).start()
                wait_for("an event after the restart", lambda: shows(12.5))
                with server.client() as client:
                    client.post("/api/events", json=publish | {"data": {"amount": 1.5}}).raise_for_status()
                wait_for("what comes after an event that the filter leaves out", lambda: shows(13.5))
                tail.send_signal(signal.SIGINT)
                assert tail.wait(COMMAND_SECONDS) == 0
            finally:
                tail.kill()
        assert '"amount": 1.5' not in output.read_text()
    finally:
        server.stop()


@pytest.mark.slow
def test_the_embedded_log_goes_on_where_it_was(tmp_path: Path) -> None:
    first = ran(None, tmp_path, "embedded_log.py", "shop").splitlines()
    assert first[-2:] == [
        "1000 orders since this run began",
        f"{sum(n % 90 for n in range(1000) if n % 90 >= 80)} billed",
    ]
    again = ran(None, tmp_path, "embedded_log.py", "shop").splitlines()
    assert again[0] == "the orders of earlier runs are there"
    assert again[-2:] == first[-2:]
    assert os.listdir(tmp_path) == ["shop"]
