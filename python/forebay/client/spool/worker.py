"""The thread that syncs a spool, and that looks for files of processes that are gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from forebay.client.own_thread import start_thread

SYNC_SECONDS = 0.1
"""The machine's end loses so much at most, beside what the sync itself takes."""

ADOPT_SECONDS = 15.0
"""How often files of processes that are gone are looked for."""

STOP_SECONDS = 1.0
"""The end waits so long for a search or a sync that is under way: whoever comes next finds no file locked for
nothing."""


class SpoolWorker:
    """Calls `sync` soon after `mark_dirty`, and `search` at first, after `search_soon`, and every ADOPT_SECONDS.

    Without it the spool outlives the process, too, and its end syncs it.
    """

    def __init__(self, sync: Callable[[], object], search: Callable[[], None]) -> None:
        self._sync = sync
        self._search = search
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._search_at = 0.0
        self._stop = threading.Event()
        self.dirty = False

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    @property
    def is_running(self) -> bool:
        return not self.stopped and self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Cheap when it runs. Raises RuntimeError when there can be no further thread."""
        if not self.stopped and not self.is_running:
            self._thread = start_thread(self._run, name="forebay-spool")

    def mark_dirty(self) -> None:
        self.dirty = True
        self._wake.set()

    def search_soon(self) -> None:
        self._search_at = 0.0
        self._wake.set()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self.stopped:
            if time.monotonic() >= self._search_at:
                self._search_at = time.monotonic() + ADOPT_SECONDS
                self._search()
            elif self.dirty:
                if self._stop.wait(SYNC_SECONDS):
                    return
                # Before the sync: what is written from now on sets it anew.
                self.dirty = False
                self._sync()
            else:
                self._wake.wait(max(0.0, self._search_at - time.monotonic()))
                self._wake.clear()
