"""The process imports the client, forks, and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from client.proxy import Request, Scripted, accepted, scripted
from forebay.client import Client, fork
from support.harness import wait_for

pytestmark = pytest.mark.slow

SECONDS = 60.0


def program(text: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def messages(server: Scripted) -> list[str]:
    return [event["message"] for request in server.seen for event in json.loads(request.body)["events"]]


def test_importing_the_client_imports_neither_engine_nor_server() -> None:
    ended = program(
        """
        import sys
        before = set(sys.modules)
        import forebay.client
        own = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
        own.discard("typing_extensions")  # msgspec's, when it is there
        print(sorted(own), [name for name in sys.modules if name.startswith("forebay.") and "client" not in name])
        """
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "['forebay', 'msgspec'] []\n"


def test_the_public_names_are_found_when_asked_for() -> None:
    ended = program(
        """
        import forebay
        assert set(forebay.__all__) <= set(dir(forebay))
        from forebay import *
        from forebay import __version__, ForebayError, Log
        assert open is forebay.open and __version__
        try:
            forebay.nothing
        except AttributeError as error:
            print(error)
        """
    )
    assert (ended.stdout, ended.stderr) == ("module 'forebay' has no attribute 'nothing'\n", "")


def test_the_end_of_the_process_sends_what_is_left() -> None:
    with scripted(accepted) as server:
        ended = program(
            """
            import sys
            from forebay.client import Client
            client = Client(sys.argv[1], linger_seconds=60)
            for number in range(1200):
                client.log(str(number))
            del client
            """,
            server.url,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert sorted(map(int, messages(server))) == list(range(1200))


@pytest.mark.parametrize("spooled", [False, True])
def test_the_end_of_the_process_has_a_deadline(tmp_path: Path, spooled: bool) -> None:
    ended = program(
        """
        import sys
        from forebay.client import Client
        client = Client("http://127.0.0.1:1", exit_seconds=0.3, spool=sys.argv[1] if sys.argv[2:] else None)
        client.log("left")
        """,
        tmp_path,
        *["spool"][: int(spooled)],
    )
    assert ended.returncode == 0
    waits, left = ended.stderr.splitlines()
    assert waits == "the server at http://127.0.0.1:1 takes no events, they wait: no answer: Connection refused"
    where = f"in the spool {tmp_path}, whose next client sends them" if spooled else "which are lost;"
    assert left.startswith("closed with 1 event not delivered")
    assert where in left
    assert len(list(tmp_path.glob("*/*.batch"))) == int(spooled)


@pytest.mark.parametrize("spooled", [False, True])
def test_the_child_of_a_fork_starts_empty_and_the_parent_keeps_its_events(tmp_path: Path, spooled: bool) -> None:
    with scripted(accepted) as server:
        ended = program(
            """
            import os, sys, threading
            from forebay.client import Client
            client = Client(sys.argv[1], linger_seconds=0.05, spool=sys.argv[2] if sys.argv[3:] else None)
            stop = threading.Event()

            def busy():
                number = 0
                while not stop.is_set():
                    client.log(f"busy {number}")
                    number += 1
                print("busy", number)

            for number in range(10):
                client.log(f"before {number}")
            thread = threading.Thread(target=busy, daemon=True)
            thread.start()
            for fork in range(5):
                if (child := os.fork()) == 0:
                    stats = client.stats()
                    assert (stats.accepted, stats.pending) == (0, 0), stats
                    for number in range(20):
                        client.log(f"child {fork} {number}")
                    left = client.close()
                    assert client.stats().delivered - client.stats().recovered == 20, client.stats()
                    os._exit(left)
                assert os.waitpid(child, 0)[1] == 0
                client.log(f"after {fork}")
            stop.set()
            thread.join()
            assert client.close() == 0
            stats = client.stats()
            assert stats.accepted == stats.delivered
            """,
            server.url,
            tmp_path,
            *["spool"][: int(spooled)],
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        busy = int(ended.stdout.split()[1])
        expected = [f"before {number}" for number in range(10)] + [f"after {fork}" for fork in range(5)]
        expected += [f"child {fork} {number}" for fork in range(5) for number in range(20)]
        expected += [f"busy {number}" for number in range(busy)]
        assert sorted(messages(server)) == sorted(expected)
    assert list(tmp_path.iterdir()) == []


def test_a_parents_file_stays_its_own_while_only_children_live(tmp_path: Path) -> None:
    """The lock goes with the parent, although its child was forked with the file open."""
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                """
                import os, sys, time
                from forebay.client import Client
                client = Client("http://127.0.0.1:1", spool=sys.argv[1])
                client.log("the parent's")
                if os.fork() == 0:
                    print(os.getpid(), flush=True)
                    time.sleep(60)
                time.sleep(60)
                """
            ),
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            parent.kill()
            parent.wait()
            with scripted(accepted) as server:
                with Client(server.url, spool=tmp_path) as client:
                    assert client.flush() == 0
                assert messages(server) == ["the parent's"]
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_signal_handler_that_logs_in_the_middle_of_a_log_does_not_deadlock() -> None:
    with scripted(accepted) as server, Client(server.url, batch_events=10) as client:
        handled = 0

        def handler(*_: object) -> None:
            nonlocal handled
            handled += 1
            client.log("handler")

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        number = 0
        try:
            while handled < 100 and number < 1_000_000:
                client.log("loop")
                number += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert client.flush() == 0
        stats = client.stats()
        assert stats.accepted == stats.delivered == number + handled
        assert len(messages(server)) == number + handled


# The exception may also come in a callback of the garbage collector, or while a thread is started.
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)
@pytest.mark.parametrize("spooled", [False, True])
def test_a_signal_handler_that_raises_costs_the_call_that_it_broke_off(tmp_path: Path, spooled: bool) -> None:
    class Broken(Exception):
        pass

    def handler(*_: object) -> None:
        raise Broken

    with scripted(accepted) as server:
        client = Client(server.url, batch_events=10, spool=tmp_path if spooled else None)
        before = signal.signal(signal.SIGALRM, handler)
        taken = broken = number = 0
        try:
            while broken < 50 and number < 1_000_000:
                number += 1
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0002)
                    for _ in range(100):
                        taken += client.log("loop")
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Broken:
                    broken += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert client.log("last")
        assert client.flush() == 0
        delivered = messages(server)
        assert delivered.count("last") == 1
        # Each broken call may have been taken before it was broken off.
        assert taken <= len(delivered) - 1 <= taken + broken
        assert client.close() == 0


def test_a_signal_handler_does_not_wait_for_the_call_that_it_interrupted() -> None:
    with scripted(accepted) as server, Client(server.url, linger_seconds=60) as client:
        client.log("before")
        with client._queue.lock:
            # `put` sets it while it works.
            client._queue._busy = True
            assert client.log("handler")
            assert (client.flush(60), client.close(60), client.stats().pending) == (2, 2, 2)
            client._queue._busy = False
        assert client.flush() == 0
        assert messages(server) == ["before", "handler"]


def test_closed_clients_are_forgotten() -> None:
    before = len(fork._open)
    with scripted(accepted) as server:
        for _ in range(5):
            with Client(server.url) as client:
                client.log("x")
    assert len(fork._open) == before
    wait_for("the senders to end", lambda: not [t for t in threading.enumerate() if t.name.startswith("forebay-s")])


def test_further_connections_come_with_the_rate_and_go_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forebay.client.sender.IDLE_SECONDS", 0.05)
    gate = threading.Semaphore(0)

    def slow(request: Request) -> object:
        gate.acquire(timeout=10)
        return accepted(request)

    with scripted(slow) as server, Client(server.url, batch_events=10, connections=3) as client:  # type: ignore[arg-type]
        client.log_many(["x"] * 1000)
        gate.release(20)
        wait_for("three connections", lambda: client.stats().connections == 3)
        gate.release(1000)
        assert client.flush() == 0
        wait_for("all but one to end", lambda: client.stats().connections == 1)
