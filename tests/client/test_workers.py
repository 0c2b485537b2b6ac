"""Workers that are forked: by `multiprocessing`, and from C, where Python's hooks are not all called."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from client.proxy import accepted, scripted
from client.test_process import messages, program

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", ["Process", "Pool", "ProcessPoolExecutor", "own client"])
def test_workers_of_multiprocessing_send_what_is_left(workers: str) -> None:
    with scripted(accepted) as server:
        ended = program(
            """
            import multiprocessing, sys
            from concurrent.futures import ProcessPoolExecutor
            from forebay.client import Client

            url, workers = sys.argv[1:]
            client = Client(url, linger_seconds=60)
            fork = multiprocessing.get_context("fork")

            def work(number):
                (Client(url, linger_seconds=60) if workers == "own client" else client).log(str(number))

            if workers == "Pool":
                with fork.Pool(3) as pool:
                    pool.map(work, range(9), chunksize=1)
                    pool.close()
                    pool.join()
            elif workers == "ProcessPoolExecutor":
                with ProcessPoolExecutor(3, fork) as pool:
                    list(pool.map(work, range(9)))
            else:
                started = [fork.Process(target=work, args=(number,)) for number in range(9)]
                for process in started: process.start()
                for process in started: process.join()
            client.log("parent")
            """,
            server.url,
            workers,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert sorted(messages(server)) == sorted([*map(str, range(9)), "parent"])


def test_a_worker_of_a_server_of_forks_sends_what_is_left(tmp_path: Path) -> None:
    """It has not been forked from the process that has the client, and imports the program instead."""
    path = tmp_path / "program.py"
    path.write_text(
        textwrap.dedent(
            """
            import multiprocessing, sys
            from forebay.client import Client

            client = Client(sys.argv[1], linger_seconds=60)

            def work(number):
                client.log(str(number))

            if __name__ == "__main__":
                context = multiprocessing.get_context(sys.argv[2])
                started = [context.Process(target=work, args=(number,)) for number in range(3)]
                for process in started: process.start()
                for process in started: process.join()
            """
        )
    )
    for method in ("forkserver", "spawn"):
        with scripted(accepted) as server:
            ended = subprocess.run(
                [sys.executable, path, server.url, method], capture_output=True, text=True, timeout=60
            )
            assert (ended.returncode, ended.stderr) == (0, "")
            assert sorted(messages(server)) == ["0", "1", "2"]


def test_multiprocessing_is_not_imported_for_that() -> None:
    ended = program("import sys, forebay.client; print([name for name in sys.modules if 'multiproc' in name])")
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


FORKED = """
import contextlib, ctypes, os, sys, threading, time
from pathlib import Path
from forebay.client import Client

url, spool, hook, first = sys.argv[1:]
client = Client(url, linger_seconds=0.01, spool=spool if spool != "none" else None)
fork = ctypes.PyDLL(None).fork
client.log("before")
assert client.flush() == 0
held, done = threading.Event(), threading.Event()

def hold():
    # A call holds these in its middle.
    with client._queue.lock, client._senders._changed, client._rejections._lock:
        held.set()
        done.wait()

def switches():
    rows = {}
    for path in Path("/proc/self/task").glob("*/status"):
        if path.parent.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                rows[path] = path.read_text()
    return rows

thread = threading.Thread(target=hold, daemon=True)
thread.start()
held.wait()
if hook == "False":
    # Python's own lock may be taken for ever in a child that comes when other threads run: only the hook
    # makes a new one. One that waits for that lock wakes every 5 ms.
    deadline, before, now = time.monotonic() + 30, None, switches()
    while now != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        before, now = now, switches()
if (child := fork()) == 0:
    if hook == "True":
        ctypes.pythonapi.PyOS_AfterFork_Child()
    if first == "stats":
        assert client.stats().accepted == 0
    elif first == "flush":
        assert client.flush(1) == 0
    elif first == "log_many":
        assert client.log_many(["many"]) == 1
    elif first == "close":
        os._exit(client.close(1))
    for number in range(10):
        client.log(f"child {number}")
    left = client.close(10)
    own = client.stats().accepted - client.stats().recovered
    os._exit(left or own not in (10, 11))
done.set()
thread.join()
for number in range(10):
    client.log(f"parent {number}")
assert os.waitpid(child, 0)[1] == 0
assert client.close() == 0
stats = client.stats()
assert stats.accepted == stats.delivered == 11 + stats.recovered, stats
"""


@pytest.mark.parametrize("hook", [False, True])
@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize("first", ["log", "stats", "flush", "close", "log_many"])
def test_a_fork_from_c_is_noticed(tmp_path: Path, hook: bool, spooled: bool, first: str) -> None:
    """The master of an application server forks so, while another thread may be in the middle of anything."""
    with scripted(accepted) as server:
        ended = program(
            FORKED,
            server.url,
            tmp_path if spooled else "none",
            hook,
            first,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        expected = ["before", *(f"parent {number}" for number in range(10))]
        if first != "close":
            expected += [f"child {number}" for number in range(10)]
        assert sorted(messages(server)) == sorted(expected + ["many"] * (first == "log_many"))
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_does_not_log_gives_the_files_up_at_once(tmp_path: Path) -> None:
    """Else they would be its parent's as long as it lives."""
    ended = program(
        """
        import ctypes, os, sys
        from forebay.client import Client

        client = Client("http://127.0.0.1:1", spool=sys.argv[1])
        client.log("the parent's")
        if (child := ctypes.PyDLL(None).fork()) == 0:
            ctypes.pythonapi.PyOS_AfterFork_Child()
            files = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
            os._exit(any(sys.argv[1] in path for path in files))
        status = os.waitpid(child, 0)[1]
        client.close(0)
        sys.exit(status)
        """,
        tmp_path,
    )
    assert ended.returncode == 0
