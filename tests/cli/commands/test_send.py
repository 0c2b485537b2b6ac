"""`forebay send` to a real server, and to one that misbehaves."""

import base64
import http.server
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from client.proxy import DURABLE
from forebay.server.process import clean_environment
from support.harness import RunningServer, event, run_bytes, wait_for

pytestmark = pytest.mark.slow

SEND_SECONDS = 60.0

Start = Callable[..., RunningServer]
Step = tuple[int, dict[str, str], bytes]


def send(*arguments: object, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return run_bytes("send", *arguments, text=text)


def lines(count: int, prefix: str = "m") -> list[bytes]:
    return [json.dumps(event(f"{prefix}{number}")).encode() for number in range(count)]


def messages(running: RunningServer, prefix: str) -> list[str]:
    found = (row["value"]["message"] for row in running.records())
    return sorted(message for message in found if message.startswith(prefix))


class Scripted(http.server.ThreadingHTTPServer):
    """Answers each request by the next step of a script: a status, headers and a body, or None for no answer."""

    daemon_threads = True

    def __init__(self, steps: list[Step | None]) -> None:
        self.steps = steps
        self.seen: list[tuple[str, bytes, dict[str, str]]] = []
        self.authenticator = threading.Lock()
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.server.authenticator:
            named = {name.lower(): value for name, value in self.headers.items()}
            self.server.seen.append((self.headers["idempotency-key"], body, named))
            step = self.server.steps.pop(0) if self.server.steps else (202, DURABLE, b"{}")
        if step is None:
            self.close_connection = True
            return
        status, headers, answer = step
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def scripted(*steps: Step | None) -> Iterator[Scripted]:
    server = Scripted(list(steps))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_every_line_of_a_file_is_stored_once(shared_server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(lines(1234, "file")) + b"\n\n  \r\n")
    ended = send(path, "--url", shared_server.url)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"acknowledged 1,234 events in 3 batches" in ended.stdout
    assert messages(shared_server, "file") == sorted(f"file{n}" for n in range(1234))


def test_standard_input_and_one_connection_keep_the_order(shared_server: RunningServer) -> None:
    ended = send("-", "--url", shared_server.url, "--connections", 1, text=b"\n".join(lines(1100, "stdin")))
    assert (ended.returncode, ended.stderr) == (0, b"")
    stored = [row["value"]["message"] for row in shared_server.records() if "stdin" in row["value"]["message"]]
    assert stored == [f"stdin{n}" for n in range(1100)]


def test_bad_lines_go_to_the_file_and_the_rest_is_stored(shared_server: RunningServer, tmp_path: Path) -> None:
    good = lines(20, "rest")
    bad_time = json.dumps(event("bad") | {"timestamp": "yesterday"}).encode()
    broken = [b"{", b'{"project_id":1}', b'{"events":[]}]},', b"\xff\xfe", bad_time]
    text = b"\n".join([*good[:10], *broken, *good[10:]])
    rejected = tmp_path / "rejected"
    ended = send("-", "--url", shared_server.url, "--rejected", rejected, text=text)
    assert ended.returncode == 1
    assert b"acknowledged 20 events" in ended.stdout
    assert b"5 rejected, 0 read but not delivered" in ended.stdout
    assert messages(shared_server, "rest") == sorted(f"rest{n}" for n in range(20))
    rows = sorted((json.loads(line) for line in rejected.read_text().splitlines()), key=lambda row: row["line"])
    assert [row["line"] for row in rows] == [11, 12, 13, 14, 15]
    kept = [base64.b64decode(row["base64"]) if "base64" in row else row["text"].encode() for row in rows]
    assert kept == broken
    assert rows[4]["reason"].startswith("timestamp")
    assert all(row["reason"] for row in rows)


def test_without_a_file_the_first_bad_line_ends_the_run(shared_server: RunningServer) -> None:
    text = b"\n".join([*lines(3, "before"), b"{", *lines(3, "after")])
    ended = send("-", "--url", shared_server.url, text=text)
    assert ended.returncode == 1
    assert b"line 4 is not a valid event" in ended.stderr
    stored = len(messages(shared_server, "before"))
    assert f"acknowledged {stored} events".encode() in ended.stdout
    if not stored:
        assert b"not stored: lines 1-4, and whatever comes after line 4" in ended.stderr


def test_retries_use_the_same_key_and_obey_retry_after() -> None:
    busy = (429, {"Retry-After": "1"}, b'{"error":"server saturated","code":"backpressure_triggered"}')
    with scripted(busy, None, (503, {}, b"{}"), (408, {}, b"{}")) as server:
        ended = send("-", "--url", server.url, "--token", "secret", text=b"\n".join(lines(3)))
        assert ended.returncode == 0
        assert ended.stderr.count(b"trying again at ") == 1, "the first time alone"
        assert b"acknowledged 3 events in 1 batches" in ended.stdout
        # Where the kept connection was closed without an answer, a new one was tried at once.
        assert b"3 retries" in ended.stdout
        keys = {key for key, _, _ in server.seen}
        bodies = {body for _, body, _ in server.seen}
        assert (len(server.seen), len(keys), len(bodies)) == (5, 1, 1)
        assert server.seen[0][2]["authorization"] == "Bearer secret"
    seconds = float(ended.stdout.split(b" s, ")[0].split()[-1])
    assert seconds >= 1.0, "it waited as long as it was told"


def test_a_refused_event_makes_a_new_body_with_a_new_key(tmp_path: Path) -> None:
    refusal: Step = (400, {}, b'{"error":"events[1].level: must not be empty","code":"malformed_request"}')
    rejected = tmp_path / "rejected"
    with scripted(refusal) as server:
        ended = send("-", "--url", server.url, "--rejected", rejected, text=b"\n".join(lines(3)))
        assert ended.returncode == 1
        assert len({key for key, _, _ in server.seen}) == 2
        sent = [row["message"] for row in json.loads(server.seen[1][1])["events"]]
    assert sent == ["m0", "m2"]
    row = json.loads(rejected.read_text())
    assert (row["line"], row["reason"]) == (2, "level: must not be empty")


def test_lines_of_a_project_that_is_refused_go_at_once_and_the_account_adds_up(tmp_path: Path) -> None:
    refusal: Step = (403, {}, b'{"error":"events[1]: the token may not write this project","code":"forbidden"}')
    mixed = [json.dumps(event(f"m{n}", "other" if n % 2 else "mine")).encode() for n in range(100)]
    rejected = tmp_path / "rejected"
    with scripted(refusal) as server:
        ended = send("-", "--url", server.url, "--rejected", rejected, text=b"\n".join(mixed))
        assert len(server.seen) == 2
    assert b"acknowledged 50 events in 1 batches" in ended.stdout
    assert b"50 rejected, 0 read but not delivered" in ended.stdout
    assert [json.loads(line)["line"] for line in rejected.read_text().splitlines()] == list(range(2, 101, 2))


def test_what_is_json_to_some_and_not_to_the_server_is_refused_alone(
    shared_server: RunningServer, tmp_path: Path
) -> None:
    good = lines(9, "near")
    bad = json.dumps(event("bad")).encode()[:-1] + b',"metadata":{"a":' + b"[" * 100 + b"]" * 100 + b"}}"
    rejected = tmp_path / "rejected"
    text = b"\n".join([*good[:5], bad, *good[5:]])
    ended = send("-", "--url", shared_server.url, "--rejected", rejected, text=text)
    assert b"acknowledged 9 events" in ended.stdout
    assert messages(shared_server, "near") == sorted(f"near{n}" for n in range(9))
    row = json.loads(rejected.read_text())
    assert (row["line"], row["reason"]) == (6, "the body is not valid JSON: nested more than 64 deep")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ((401, {}, b'{"error":"the token is missing","code":"unauthorized"}'), "401: the token is missing"),
        ((404, {}, b"no such page"), "404: no such page"),
        ((400, {}, b'{"error":"events[9].x: what","code":"malformed_request"}'), "an event that was not sent"),
    ],
)
def test_a_refusal_of_the_whole_ends_the_run_and_names_what_is_missing(step: Step, reason: str, tmp_path: Path) -> None:
    with scripted(*[step] * 10) as server:
        bare = send("-", "--url", server.url, text=b"\n".join(lines(3)))
        rejected = tmp_path / "rejected"
        kept = send("-", "--url", server.url, "--rejected", rejected, text=b"\n".join(lines(3)))
    assert (bare.returncode, kept.returncode) == (1, 1)
    assert reason in bare.stderr.decode()
    assert b"not stored: lines 1-3, and whatever comes after line 3" in bare.stderr
    rows = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert [row["line"] for row in rows] == [1, 2, 3]
    assert all(reason in row["reason"] for row in rows)


def test_patience_ends() -> None:
    ended = send("-", "--url", "http://127.0.0.1:1", "--patience", 0.5, text=lines(1)[0])
    assert ended.stderr.startswith(b"forebay: trying again at http://127.0.0.1:1: no answer: Connection refused\n")
    assert ended.stderr.count(b"trying again") == 1
    assert ended.returncode == 1
    assert b"given up after" in ended.stderr
    assert b"not stored: lines 1," in ended.stderr


def test_an_interrupt_accounts_for_every_line(tmp_path: Path) -> None:
    rejected = tmp_path / "rejected"
    busy: Step = (503, {"retry-after": "60"}, b"{}")
    with scripted(*[busy] * 100) as server:
        command = [sys.executable, "-m", "forebay", "send", "-", "--url", server.url, "--rejected", str(rejected)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=clean_environment()) as process:
            assert process.stdin is not None
            process.stdin.write(b"\n".join(lines(1200)) + b"\n")
            process.stdin.flush()
            wait_for("two batches to be tried", lambda: len(server.seen) >= 2)
            process.send_signal(signal.SIGINT)
            # The input stays open: a reader that waits for it does not hold the end up.
            assert process.wait(SEND_SECONDS) == 130
    rows = sorted(json.loads(line)["line"] for line in rejected.read_text().splitlines())
    # The two batches, and as much of the rest as was read before the interrupt.
    assert len(rows) >= 1000
    assert rows == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_is_told_and_what_was_rejected_is_kept(number: signal.Signals, tmp_path: Path) -> None:
    rejected = tmp_path / "rejected"
    with scripted() as server:
        command = [sys.executable, "-m", "forebay", "send", "-", "--url", server.url, "--rejected", str(rejected)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=clean_environment()) as process:
            assert process.stdin is not None
            process.stdin.write(b"\n".join([b"bad", *lines(600)]) + b"\n")
            process.stdin.flush()
            wait_for("a batch to be sent", lambda: len(server.seen) >= 1)
            wait_for("the bad line to be kept before the end", lambda: bool(rejected.read_bytes()))
            process.send_signal(number)
            assert process.wait(SEND_SECONDS) == 1
            assert process.stdout is not None
            assert process.stderr is not None
            output, errors = process.stdout.read(), process.stderr.read()
    assert output.startswith(b"acknowledged 500 events in 1 batches"), output
    assert f"forebay: ended before the input did: ended by {number.name}\n".encode() in errors
    assert json.loads(rejected.read_text().splitlines()[0])["line"] == 1


def test_what_is_rejected_does_not_go_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"bad\n")
    for more in ((), ("--follow",)):
        ended = send(path, "--rejected", path, *more)
        assert (ended.returncode, path.read_bytes()) == (2, b"bad\n"), ended.stderr
        assert b"is the same file as FILE" in ended.stderr
    with path.open("rb") as file:
        command = [sys.executable, "-m", "forebay", "send", "-", "--rejected", str(path)]
        piped = subprocess.run(command, stdin=file, capture_output=True, timeout=SEND_SECONDS, check=False)
    assert (piped.returncode, path.read_bytes()) == (2, b"bad\n"), piped.stderr


def test_a_full_disk_for_what_is_rejected_is_told_with_the_lines() -> None:
    with scripted() as server:
        ended = send("-", "--url", server.url, "--rejected", "/dev/full", text=b"bad\n")
    assert (ended.returncode, b"Traceback" in ended.stderr) == (1, False), ended.stderr
    assert b"1 rejected" in ended.stdout
    assert b"forebay: cannot write /dev/full: No space left on device\n" in ended.stderr
    assert b"not stored: lines 1, and" in ended.stderr


def test_wrong_usage() -> None:
    for arguments in (
        ("missing.ndjson",),
        ("-", "--url", "ftp://x"),
        ("-", "--connections", "0"),
        ("-", "--patience", "nan"),
    ):
        ended = send(*arguments)
        assert (ended.returncode, b"Traceback" in ended.stderr) == (2, False), ended.stderr


def test_a_server_that_is_killed_under_way_has_each_event_once(server: Start, tmp_path: Path) -> None:
    first = server()
    port = first.url.rsplit(":", 1)[1]
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(lines(60_000, "k")))
    command = [sys.executable, "-m", "forebay", "send", str(path), "--url", first.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()) as process:
        wait_for("the first events", lambda: len(first.records()) > 0)
        first.kill()
        second = server("--port", port)
        output, errors = process.communicate(timeout=SEND_SECONDS)
    assert process.returncode == 0
    assert errors.count(b"\n") == errors.count(b"forebay: trying again at ") <= 1
    assert b"acknowledged 60,000 events" in output
    stored = [row["value"]["message"] for row in second.records()]
    assert set(stored) == {f"k{number}" for number in range(60_000)}
    return_once = len(stored) - len(set(stored))
    assert return_once == 0, f"{return_once} events are stored twice"
