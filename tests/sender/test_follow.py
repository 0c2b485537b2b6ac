from __future__ import annotations

import json
import threading
from pathlib import Path

from client.proxy import Answer, Request, accepted, scripted
from forebay.sender import Following, drain_of
from forebay.sender.mark import MarkFile
from harness import event, wait_for


def follow(path: Path, url: str, ends_at: threading.Event) -> list[str]:
    """Follows until the event is set; what it noticed."""
    notices: list[str] = []
    marks = MarkFile(path.with_suffix(".state"))
    following = Following(
        path, marks, drain_of(url, None), patience_seconds=None, keep=lambda *_: True, notice=notices.append
    )
    thread = threading.Thread(target=following.run)
    thread.start()
    wait_for("the event", ends_at.is_set)
    following.stop()
    thread.join()
    marks.close()
    return notices


def test_a_batch_that_may_have_arrived_is_repeated_under_its_key_before_all_else(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(json.dumps(event(str(number))).encode() + b"\n" for number in range(3)))
    asked = threading.Event()

    def no_answer(_: Request) -> Answer | None:
        asked.set()
        return None

    with scripted(no_answer) as server:
        follow(path, server.url, asked)
        first = server.seen[0]
    # More has come in the meantime: the batch that is repeated stays as it was.
    with path.open("ab") as file:
        file.write(json.dumps(event("more")).encode() + b"\n")
    for _ in range(2):
        asked.clear()
        with scripted(no_answer) as server:
            follow(path, server.url, asked)
            assert {(request.key, request.body) for request in server.seen} == {(first.key, first.body)}
    done = threading.Event()

    def answer(request: Request) -> Answer:
        if b"more" in request.body:
            done.set()
        return accepted(request)

    with scripted(answer) as server:
        assert follow(path, server.url, done) == []
        assert [(request.key == first.key, request.body == first.body) for request in server.seen] == [
            (True, True),
            (False, False),
        ]
