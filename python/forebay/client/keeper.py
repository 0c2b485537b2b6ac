"""What is done for a spool in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from forebay.client.own_thread import launch

SYNC_SECONDS = 0.1
"""So much is lost with the machine at most, beside what the sync itself takes."""

ADOPT_SECONDS = 15.0
"""How often files of processes that are gone are looked for."""


STOP_SECONDS = 1.0
"""An end waits so long for a look or a sync that is under way: whoever comes next finds no file locked for nothing."""


class Keeper:
    """A thread that syncs soon after `dirty` was set and `wake` released, and that looks for files of others.

    It says itself that it runs: whoever starts it may be broken off by a signal's handler, and then nobody knows. Of
    two that are started for that reason, one ends at once. There are no events and conditions here for what callers
    do, since those may stay locked when that happens.
    """

    def __init__(self, sync: Callable[[], None], look: Callable[[], None], failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._sync = sync
        self._look = look
        self.wake = _locked()
        """Released as often as one likes."""
        self.dirty = False
        self.asked = False
        """To run, once at least."""
        self.runs = False
        self.looked = False
        """Once at least, or it never will be."""
        self.stopped = False
        self._ended = _locked()
        self._starting = threading.Lock()
        self._gone = _locked()
        self._look_at = 0.0

    def start(self) -> None:
        """Cheap when it runs."""
        if self.runs or self.stopped:
            return
        self.asked = True
        try:
            launch(self._run, name="forebay-spool")
        except RuntimeError as error:
            self._not_started(str(error))

    def _not_started(self, why: str) -> None:
        self.looked = True
        self._failed(why)

    def look(self) -> None:
        """Soon."""
        self._look_at = 0.0
        with suppress(RuntimeError):
            self.wake.release()

    def stop(self) -> None:
        self.stopped = True
        for lock in (self.wake, self._ended):
            with suppress(RuntimeError):
                lock.release()

    def join(self) -> None:
        """After `stop`."""
        if self.runs:
            self._gone.acquire(timeout=STOP_SECONDS)

    def _run(self) -> None:
        with self._starting:
            if self.runs:
                return
            self.runs = True
        try:
            while not self.stopped:
                if time.monotonic() >= self._look_at:
                    self._look_at = time.monotonic() + ADOPT_SECONDS
                    self._look()
                elif self.dirty:
                    if self._ended.acquire(timeout=SYNC_SECONDS):
                        break
                    # Before the sync: what is written from now on sets it anew.
                    self.dirty = False
                    self._sync()
                else:
                    self.wake.acquire(timeout=max(0.0, self._look_at - time.monotonic()))
        finally:
            self.runs = False
            with suppress(RuntimeError):
                self._gone.release()


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock
