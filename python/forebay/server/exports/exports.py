"""Exports of the log: asking for one, how far it is, its file, and its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog

from forebay.errors import ForebayError, NotFound, Saturated, StorageUnavailable
from forebay.server.exports.files import DoesNotFit, ExportFiles
from forebay.server.exports.jobs import Jobs
from forebay.server.exports.order import Finished, Order
from forebay.server.exports.register import Known, Register
from forebay.server.exports.worker import ExportWorker

if TYPE_CHECKING:
    from forebay._forebay import Engine
    from forebay.server.config import Settings

log = structlog.get_logger("forebay.exports")

MAX_UNFINISHED = 32
"""Exports that wait, of all tokens: one is written at a time, and each reads up to the whole log."""

MAX_UNFINISHED_OF_ONE = 8
"""Of one token, so that others have their turn."""

HOUR_SECONDS = 3600.0


class Exports:
    """The exports of one server. Any thread may use it; calls block on the disk but for `find`."""

    def __init__(self, engine: Engine, jobs: Jobs, settings: Settings, register: Register | None = None) -> None:
        self._jobs = jobs
        self._register = Register() if register is None else register
        self._files = ExportFiles(settings.data_dir, settings.export_bytes)
        kept_seconds = settings.export_hours * HOUR_SECONDS
        self._worker = ExportWorker(engine, jobs, self._files, self._register, kept_seconds)

    def start(self) -> None:
        """Takes up what there was before, and begins to work."""
        try:
            self._files.open()
        except OSError as error:
            # Each export will say so; the log is of use without them.
            log.error("there is no directory for exports", error=str(error))
        self._load()
        self._worker.start()

    def _load(self) -> None:
        finished = self._files.known()
        for each in finished:
            known = Known(each.order, each.job_id, finished=each, is_there=self._files.has(each))
            self._register.add(known)
            if not known.is_there:
                # It has expired, or is not as long as it was: what is left of it is of no use.
                self._files.remove(each.order, described=False)
        try:
            jobs = self._jobs.unfinished()
        except ForebayError as error:
            log.error("the exports that were under way are not known", error=error.detail)
            return
        for job in jobs:
            if self._register.find(job.order.export_id) is None:
                self._register.add(Known(job.order, job.id, job.progress, job.error))
        under_way = [known.order for known in self._register.unfinished()]
        self._files.remove_others(under_way, finished)

    def create(self, order: Order) -> None:
        """Lets an export wait for its turn, durably.

        Raises:
            Saturated: too many wait, or there is no room for a file.
            ForebayError: the log takes no writes.
        """
        waiting = [known.order.owner for known in self._register.unfinished()]
        if len(waiting) >= MAX_UNFINISHED:
            raise Saturated(f"{len(waiting)} exports wait for their turn, as many as may; come back when some are done")
        if waiting.count(order.owner) >= MAX_UNFINISHED_OF_ONE:
            raise Saturated(
                f"{MAX_UNFINISHED_OF_ONE} exports of this token wait for their turn, as many as may; come back when "
                "some are done, or delete some"
            )
        self._check_room()
        job_id = self._jobs.add(order)
        self._register.add(Known(order, job_id))
        self._worker.wake()

    def _check_room(self) -> None:
        """Refuses what could only fail. Nobody knows how large it will be; files that are finished make room for it."""
        try:
            self._files.check_room(0)
        except DoesNotFit as error:
            if not self._register.files():
                raise Saturated(f"there is no room for an export: {error}") from None
        except OSError as error:
            raise StorageUnavailable(f"the directory of exports cannot be used: {error.strerror}") from None

    def find(self, export_id: str) -> Known | None:
        """What is known of an export."""
        known = self._register.find(export_id)
        return None if known is None or known.is_deleted else known

    def now(self) -> float:
        """Seconds since 1970 UTC, by which exports expire."""
        return self._register.now()

    def delete(self, known: Known) -> None:
        """Ends an export, whatever its status, and removes its file. Who reads that reads on."""
        is_under_way = known.status(self.now()) == "processing"
        known.is_deleted = True
        # The job first: what ends in between begins no more, and its files belong to nothing.
        self._jobs.delete(known.job_id)
        if is_under_way:
            self._worker.give_up(known)
        else:
            self._worker.forget(known)

    def completed(self, known: Known) -> Finished:
        """What is known of the file of an export that is completed.

        Raises:
            NotFound: it is not, or not any more.
        """
        finished, status = known.finished, known.status(self.now())
        if finished is None or status != "completed":
            raise NotFound(f"the export {known.order.export_id} has no file: its status is {status}")
        return finished

    def open(self, known: Known) -> int:
        """Opens the file of an export that is completed; whoever gets the descriptor closes it.

        Raises:
            NotFound: it is not, or not any more.
        """
        finished = self.completed(known)
        try:
            descriptor = os.open(self._files.path(finished.order), os.O_RDONLY)
        except OSError:
            raise NotFound(f"the file of the export {known.order.export_id} is gone") from None
        if os.fstat(descriptor).st_size != finished.bytes:
            os.close(descriptor)
            raise NotFound(f"the file of the export {known.order.export_id} is damaged; ask for another export")
        return descriptor

    def close(self) -> None:
        """Ends the work. What is under way goes on after the next start."""
        self._worker.close()
