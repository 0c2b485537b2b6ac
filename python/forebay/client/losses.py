"""Logs the events that are not delivered."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from forebay.client.own_thread import is_own_thread, log_unsent, start_thread
from forebay.client.queue import CLOSED, FULL, SPOOL, Queue

logger = logging.getLogger("forebay.client")

REPEAT_SECONDS = 60.0
"""The first loss of a kind is logged at once, further ones this often at most, with their number."""

TOKEN = "token"  # noqa: S105 - a kind of loss
REJECTED = "rejected"


@dataclass(slots=True)
class Loss:
    """Events lost for one kind of reason."""

    count: int = 0
    told: int = 0
    due: float = 0.0
    reason: str = ""
    unkept: str = ""
    """Why the file of rejected events does not have the last ones."""


class Losses:
    """Logs the first loss of each kind at ERROR with what to do, and later ones by their number.

    It does so on a thread of the client's own: an application may log from within a handler, whose lock its thread then
    has, and two threads that each wait for the other's handler would wait for ever. Whoever hands events over only
    compares two numbers here.
    """

    def __init__(self, queue: Queue, url: str, spool: Path | None, rejected_file: Path | None) -> None:
        self._queue = queue
        self._url = url
        self._spool = spool
        self._rejected_file = rejected_file
        self.reinit_after_fork()

    def reinit_after_fork(self) -> None:
        # A signal handler may come in the middle, and hand over.
        self._lock = threading.RLock()
        self._losses: dict[str, Loss] = {}
        self._drops = {FULL: 0, SPOOL: 0, CLOSED: 0}
        self._due = 0.0
        self._left = 0

    def refused(self, count: int, reason: str, *, of_token: bool, unkept: str = "") -> None:
        """The server has refused so many events for good, or the client before it. `unkept` is why the file of rejected
        events does not have them."""
        with self._lock:
            self._add(TOKEN if of_token else REJECTED, count, reason, unkept)
        self._tell()

    def notice(self) -> None:
        """Called by who hands over when an event was dropped, and by senders now and then."""
        if self._queue.drops != self._drops and time.monotonic() >= self._due:
            self._due = time.monotonic() + REPEAT_SECONDS
            self._tell()

    def close(self, left: int, why: str) -> None:
        """Called at the end of the client, with so many events that are not delivered."""
        self._say(all_of_it=True)
        if left and left != self._left:
            self._left = left
            text = f"closed with {_events(left)} not delivered"
            if self._spool is not None:
                log_unsent(logger.warning, "%s", f"{text}: in the spool {self._spool}, whose next client sends them")
            else:
                text += ", which are lost; a spool keeps them, a longer timeout helps"
                log_unsent(logger.error, "%s", f"{text}: {why}" if why else text)

    def _tell(self) -> None:
        if is_own_thread():
            self._say()
            return
        # Where there can be no thread, the end tells.
        with contextlib.suppress(RuntimeError):
            start_thread(self._say, name="forebay-losses")

    def _say(self, *, all_of_it: bool = False) -> None:
        now = time.monotonic()
        texts = []
        with self._lock:
            self._count_dropped()
            for kind, loss in self._losses.items():
                if loss.count > loss.told and (all_of_it or now >= loss.due):
                    texts.append(self._first(kind, loss) if not loss.told else _further(kind, loss))
                    loss.told, loss.due = loss.count, now + REPEAT_SECONDS
        for text in texts:
            log_unsent(logger.error, "%s", text)

    def _add(self, kind: str, count: int, reason: str, unkept: str = "") -> None:
        loss = self._losses.setdefault(kind, Loss())
        loss.count += count
        loss.reason, loss.unkept = reason, unkept

    def _count_dropped(self) -> None:
        queue = self._queue
        reasons = {FULL: queue.limits.policy, SPOOL: queue.spool_failure, CLOSED: ""}
        for kind, count in queue.drops.items():
            if count > self._drops[kind]:
                self._add(kind, count - self._drops[kind], reasons[kind])
                self._drops[kind] = count

    def _first(self, kind: str, loss: Loss) -> str:
        if loss.unkept:
            kept = f"they are lost, but for what on_rejected keeps: {loss.unkept}"
        elif self._rejected_file is not None:
            kept = f"they are in {self._rejected_file}"
        else:
            kept = "they are lost, but for what on_rejected keeps; name a rejected_file to keep them"
        said = {
            TOKEN: f"the server at {self._url} refuses this client's token ({loss.reason}), and so its events are "
            f"rejected: {kept}; give the client a token with the role ingest and the events' projects, as `forebay "
            f"token create --role ingest` makes one",
            REJECTED: f"{_events(loss.count)} rejected, the last since {loss.reason}: {kept}",
            FULL: f"{_events(loss.count)} dropped, since there is no room (policy {loss.reason!r}): the server at "
            f"{self._url} takes fewer than come, or none, as stats().last_error says; a spool or a larger bound keeps "
            f"more",
            SPOOL: f"{_events(loss.count)} dropped: {loss.reason}; let the client write to {self._spool}",
            CLOSED: f"{_events(loss.count)} handed over after the client was closed, and dropped",
        }
        return said[kind]


def _further(kind: str, loss: Loss) -> str:
    what = "rejected" if kind in (TOKEN, REJECTED) else "dropped"
    text = f"{_events(loss.count - loss.told)} {what} since then, {loss.count} in all"
    return f"{text}: {loss.reason}" if loss.reason and kind != FULL else text


def _events(count: int) -> str:
    return f"{count} event{'s' * (count != 1)}"
