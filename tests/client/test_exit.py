"""The end of the process where no thread can be started any more, as in Python 3.12.1 and where there are too many."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from client.proxy import Answer, Request, accepted, scripted
from client.test_process import messages, program

pytestmark = pytest.mark.slow

REFUSE = """
import _thread, sys, threading

def refuse(*_):
    raise RuntimeError("can't create new thread at interpreter shutdown")

def refuse_threads():
    _thread.start_new_thread = refuse
    threading._start_new_thread = threading._start_joinable_thread = refuse

from forebay.client import Client
url, directory, first = sys.argv[1:4]
options = {"spool": directory} if sys.argv[4:] else {}
"""


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize("first", ["threads", "event"])
def test_a_script_that_logs_one_line_and_ends_has_stored_it(tmp_path: Path, spooled: bool, first: str) -> None:
    with scripted(accepted) as server:
        ended = program(
            REFUSE
            + """
if first == "threads":
    refuse_threads()
client = Client(url, linger_seconds=60, **options)
client.log("one")
refuse_threads()
""",
            server.url,
            tmp_path,
            first,
            *["spool"][: int(spooled)],
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert messages(server) == ["one"]
    assert list(tmp_path.glob("*/*.batch")) == []


def test_what_is_logged_at_the_very_end_is_stored() -> None:
    with scripted(accepted) as server:
        ended = program(
            REFUSE
            + """
import atexit
client = Client(url)
refuse_threads()
atexit.register(client.log, "from atexit")
client.log_many(str(number) for number in range(2000))
assert client.flush() == 0 and client.stats().connections == 0
client.log("after a flush")
""",
            server.url,
            "",
            "",
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert messages(server) == [*map(str, range(2000)), "after a flush", "from atexit"]


@pytest.mark.parametrize("fault", ["away", "silent", "saturated"])
def test_without_threads_the_end_has_its_deadline(tmp_path: Path, fault: str) -> None:
    def answer(_: Request) -> Answer | None:
        if fault == "saturated":
            return Answer(429, b"{}", {"Retry-After": "60"})
        server.wait(60)
        return None

    with scripted(answer) as server:
        before = time.monotonic()
        ended = program(
            REFUSE
            + """
refuse_threads()
client = Client(url, exit_seconds=0.5, spool=directory)
client.log("left")
""",
            "http://127.0.0.1:1" if fault == "away" else server.url,
            tmp_path,
            "",
        )
        assert ended.returncode == 0
        # A minute is what the server asks for, ten seconds what an answer may take.
        assert time.monotonic() - before < 60
    assert len(list(tmp_path.glob("*/*.batch"))) == 1


@pytest.mark.parametrize("before", ["nothing", "an event", "an event for a dead server", "no client"])
@pytest.mark.parametrize("spooled", [False, True])
def test_a_finalizer_that_logs_when_the_interpreter_ends_does_not_keep_it(
    tmp_path: Path, spooled: bool, before: str
) -> None:
    """It comes after `atexit`, when a thread of before Python 3.12.1 that is started never runs."""
    with scripted(accepted) as server:
        ended = program(
            """
            import sys
            from forebay.client import Client
            url, before, directory = sys.argv[1:4]
            options = {"spool": directory, "exit_seconds": 0.1} if sys.argv[4:] else {"exit_seconds": 0.1}

            class Resource:
                def __init__(self, client):
                    self.client = client
                def __del__(self, make=Client, url=url, options=options):
                    client = self.client or make(url, **options)
                    kept = client.log("late")
                    print(kept, client.flush(0.5), client.close(0.5), client.stats().dropped)

            resource = Resource(Client(url, **options) if before != "no client" else None)
            if before.startswith("an event"):
                resource.client.log("early")
            """,
            "http://127.0.0.1:1" if "dead" in before else server.url,
            before,
            tmp_path,
            *["spool"][: int(spooled)],
        )
    assert ended.returncode == 0
    if before == "no client":
        assert ended.stdout.startswith("True 0 0 0"), "it sends by itself"
    else:
        assert ended.stdout.split()[::3] == ["False", "1"]
