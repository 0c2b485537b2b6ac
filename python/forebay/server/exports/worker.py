"""The thread that writes export files, one at a time."""

from __future__ import annotations

import contextlib
import errno
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from forebay._forebay import SearchCancel
from forebay.embedded.conditions import Reading
from forebay.embedded.found import Step
from forebay.errors import Closed, ForebayError, Saturated, StorageUnavailable
from forebay.server.exports.files import DoesNotFit, ExportFiles
from forebay.server.exports.formats import check_available
from forebay.server.exports.jobs import Jobs, Leased, LeaseLost
from forebay.server.exports.line_file import LineFile
from forebay.server.exports.order import Finished, Progress
from forebay.server.exports.register import Known, Register

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.server.exports.parquet_file import ParquetFile

log = structlog.get_logger("forebay.exports")

STEP_SECONDS = 0.25
"""The longest time of a step. Between two of them, others who search have their turn."""

KEEP_SECONDS = 2.0
"""How often the file is synced and its length stored: what an end of the server costs."""

KEEP_BYTES = 64 << 20
"""After so many bytes it is done, too: a sync of more may take longer than the lease lasts."""

IDLE_SECONDS = 1.0
"""How often the queue is looked at when nobody says that something was added: for jobs that are tried again."""

SWEEP_SECONDS = 5.0
"""How often files are looked at that may have expired."""

GRANTED_BYTES = 64 << 20
"""So much is written between two looks at the room that is left."""

PATIENCE_SECONDS = 300.0
"""How long a disk that cannot be read now is waited for."""

WAIT_SECONDS = 0.5
"""Between two tries of what may pass."""


class _GivenUp(Exception):
    """The export is not wanted any more."""


class ExportWorker:
    """Takes jobs until it is closed."""

    def __init__(self, engine: Engine, jobs: Jobs, files: ExportFiles, register: Register, kept_seconds: float) -> None:
        """`kept_seconds` is how long the file of a finished export is kept."""
        self._engine = engine
        self._jobs = jobs
        self._files = files
        self._register = register
        self._kept_micros = int(kept_seconds * 1_000_000)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._cancel = SearchCancel()
        self._current: Known | None = None
        self._granted = 0
        self._swept = 0.0
        self._thread = threading.Thread(target=self._run, name="forebay-export")

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something was added."""
        self._wake.set()

    def give_up(self, known: Known) -> None:
        """Ends the work on an export that nobody wants any more, soon."""
        known.is_deleted = True
        self._cancel.cancel()
        self._wake.set()

    def close(self) -> None:
        """Ends the thread. What it works on stays as far as it is, and is gone on with after the next start."""
        self._closing.set()
        self._cancel.cancel()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                leased = self._jobs.take()
                if leased is not None:
                    self._work(leased)
                self._sweep()
            except Closed:
                return
            except (StorageUnavailable, Saturated):
                # What waits goes on waiting; the log's health says why nothing can be written.
                leased = None
            except Exception as error:
                # Without the thread no export would ever be finished.
                log.exception("the thread of exports goes on after an error", error=str(error))
                leased = None
            if leased is None:
                self._wake.wait(IDLE_SECONDS)
                self._wake.clear()

    def _work(self, leased: Leased) -> None:
        order = leased.order
        known = self._register.find(order.export_id)
        if known is None:
            known = Known(order, leased.id)
            self._register.add(known)
        known.error = None
        self._current = known
        try:
            self._settle(leased, known)
        except _GivenUp:
            self._discard(leased, known)
        except LeaseLost:
            if known.is_deleted:
                self._discard(leased, known)
                return
            log.warning(
                "an export is not this thread's any more, and begins where it was synced", export=order.export_id
            )
        except (Closed, StorageUnavailable) as error:
            log.info("an export goes on later", export=order.export_id, why=error.detail)
            if self._closing.is_set():
                self._release(leased)
        except (DoesNotFit, ForebayError) as error:
            self._fail(leased, known, str(error) if isinstance(error, DoesNotFit) else error.detail)
        except OSError as error:
            self._fail(leased, known, _why_not_written(error))
        except Exception as error:
            log.exception("an export failed", export=order.export_id, error=str(error))
            self._fail(leased, known, "the server failed; details are in its log")
        finally:
            self._current = None

    def _settle(self, leased: Leased, known: Known) -> None:
        """Brings a job to its end."""
        if known.is_deleted:
            raise _GivenUp
        finished = known.finished
        if finished is None:
            finished = self._finish(leased, known)
            known.finished, known.is_there = finished, True
            log.info("an export is finished", export=leased.order.export_id, records=finished.records)
        reached = _reached(finished, leased.order.begin)
        self._patiently(lambda: self._jobs.done(leased, reached))

    def _finish(self, leased: Leased, known: Known) -> Finished:
        order = leased.order
        part = self._files.take_up(order)
        progress = leased.progress
        if progress is None or not part.exists() or part.stat().st_size < progress.bytes or not progress.bytes:
            progress = Progress(0, 0, 0, 0, list(order.begin.next))
        self._granted = 0
        file = self._opened(leased, progress)
        self._files.created()
        try:
            progress = self._write(leased, known, file, progress)
            size = file.finish()
        finally:
            file.close()
        finished = Finished(
            order=order,
            job_id=leased.id,
            bytes=size,
            records=progress.records,
            expired=progress.expired,
            lost=progress.lost,
            finished=(now := int(self._register.now() * 1_000_000)),
            expires=now + self._kept_micros,
        )
        self._files.finish(finished)
        return finished

    def _opened(self, leased: Leased, progress: Progress) -> LineFile | ParquetFile:
        order = leased.order
        if order.format != "parquet":
            return LineFile(self._files.part(order), order.format, progress.bytes, self._check_room)
        check_available(order.format)
        # Imported where it is needed: it is an extra, and takes a second and 50 MB.
        from forebay.server.exports.parquet_file import ParquetFile

        return ParquetFile(self._files.part(order), self._check_room)

    def _write(self, leased: Leased, known: Known, file: LineFile | ParquetFile, progress: Progress) -> Progress:
        """Writes all that is left, step by step, and stores how far it is."""
        end = leased.order.begin.end
        known.progress = progress
        kept, kept_bytes = time.monotonic(), progress.bytes
        failing_since: float | None = None
        while True:
            self._cancel = SearchCancel()
            if self._closing.is_set():
                self._keep(leased, file, progress)
                raise Closed("the server stops")
            if known.is_deleted:
                raise _GivenUp
            try:
                told = self._step(leased, file, Reading(leased.order.begin.stream, progress.next, end))
            except (Saturated, StorageUnavailable) as error:
                now = time.monotonic()
                failing_since = failing_since or now
                if isinstance(error, StorageUnavailable) and now - failing_since > PATIENCE_SECONDS:
                    raise
                # By a random time, so that it does not come together with those that were refused as well.
                self._closing.wait(random.uniform(0.5, 1.0) * WAIT_SECONDS)  # noqa: S311
            else:
                failing_since = None
                known.progress = progress = Progress(
                    bytes=file.bytes,
                    records=progress.records + told.matched,
                    expired=progress.expired + told.expired,
                    lost=progress.lost + told.records_lost,
                    next=told.position.next,
                )
                if told.done:
                    return progress
            if time.monotonic() - kept >= KEEP_SECONDS or progress.bytes - kept_bytes >= KEEP_BYTES:
                self._keep(leased, file, progress)
                self._sweep()
                kept, kept_bytes = time.monotonic(), progress.bytes

    def _step(self, leased: Leased, file: LineFile | ParquetFile, reading: Reading) -> Step:
        owner = bytes.fromhex(leased.order.owner)
        told = file.step(self._engine, leased.order.conditions, STEP_SECONDS, reading, owner, self._cancel)
        return msgspec.json.decode(told, type=Step)

    def _keep(self, leased: Leased, file: LineFile | ParquetFile, progress: Progress) -> None:
        """Syncs the file, then renews the lease and stores what can be relied on."""
        synced = file.sync()
        if not self._jobs.keep(leased, msgspec.structs.replace(progress, bytes=synced) if synced else None):
            raise _GivenUp

    def _check_room(self, more: int) -> None:
        """Checks that so many bytes may be written; the oldest finished exports make room.

        Raises:
            DoesNotFit: there is none.
        """
        while more > self._granted:
            try:
                self._files.check_room(more)
            except DoesNotFit:
                if not self._expire_oldest():
                    raise
                continue
            self._granted = more
            try:
                self._files.check_room(more + GRANTED_BYTES)
                self._granted = more + GRANTED_BYTES
            except DoesNotFit:
                # It is looked at again before the next bytes.
                pass
        self._granted -= more

    def _expire_oldest(self) -> bool:
        for known in self._register.files()[:1]:
            log.warning("an export expires early, for want of room", export=known.order.export_id)
            self._expire(known)
            return True
        return False

    def _expire(self, known: Known) -> None:
        known.is_there = False
        self._files.remove(known.order, described=False)

    def _sweep(self) -> None:
        """Removes the files that have expired, and forgets what nobody has to know any more."""
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        now = self._register.now()
        for known in self._register.files():
            if known.status(now) == "expired":
                self._expire(known)
        for known in self._register.forgettable():
            self.forget(known)
        for known in self._register.deleted():
            if known is not self._current:
                self.forget(known)
        for known in self._register.unfinished():
            if not self._jobs.exists(known.job_id):
                # It was deleted as a job.
                self.forget(known)

    def forget(self, known: Known) -> None:
        """Removes an export with all that is known of it."""
        self._files.remove(known.order)
        try:
            self._jobs.delete(known.job_id)
        except ForebayError as error:
            log.warning("the job of an export is not deleted", export=known.order.export_id, why=error.detail)
        self._register.drop(known.order.export_id)

    def _fail(self, leased: Leased, known: Known, why: str) -> None:
        log.warning("an export failed", export=leased.order.export_id, why=why)
        # It gives its room back before anything is written.
        self._files.remove(leased.order)
        known.error = why
        try:
            self._patiently(lambda: self._jobs.failed(leased, why))
        except LeaseLost:
            # It is taken again, and fails again unless what it failed of has passed.
            known.error = None

    def _discard(self, leased: Leased, known: Known) -> None:
        """Removes one that was given up under way."""
        known.is_deleted = True
        self._files.remove(known.order)
        with contextlib.suppress(LeaseLost):
            self._patiently(lambda: self._jobs.discard(leased))
        self._register.drop(known.order.export_id)

    def _release(self, leased: Leased) -> None:
        try:
            self._jobs.release(leased)
        except (ForebayError, LeaseLost):
            # The lease ends by itself.
            return

    def _patiently(self, call: Callable[[], None]) -> None:
        """Calls it again while the log cannot be written."""
        while True:
            try:
                call()
                return
            except (StorageUnavailable, Saturated):
                if self._closing.wait(WAIT_SECONDS):
                    raise


def _why_not_written(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; make room, or ask for less"
    return f"its file cannot be written: {error.strerror or error}"


def _reached(finished: Finished, begin: Reading) -> Progress:
    return Progress(finished.bytes, finished.records, finished.expired, finished.lost, list(begin.end))
