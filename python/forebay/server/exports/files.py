"""The directory of export files: whole ones with what is known of them, and those that are being written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from forebay.server.exports.order import ID_PREFIX, Finished, Order

log = structlog.get_logger("forebay.exports")

DIRECTORY = "exports"
PART = ".part"
KNOWN = ".json"
"""What the name of the file ends in that says that another one is whole."""

RESERVED_BYTES = 256 << 20
"""What an export leaves of the disk: the log needs it for its journal, and its merges stop at as much. An export that
took the last of it would end with the senders refused."""


class DoesNotFit(Exception):
    """An export is too large for the room that exports have, or for the disk; the message says which."""


class ExportFiles:
    """The export files of a data directory. The thread that writes exports is the only one that changes them, but for
    `remove`, which any may call."""

    def __init__(self, data_dir: str, limit: int) -> None:
        """`limit` is the most bytes of all files together."""
        self._path = Path(data_dir) / DIRECTORY
        self._limit = limit

    def open(self) -> None:
        """Makes the directory.

        Raises:
            OSError: it cannot be made.
        """
        if not self._path.is_dir():
            self._path.mkdir(mode=0o700, exist_ok=True)
            _sync_directory(self._path.parent)

    def known(self) -> list[Finished]:
        """The files that are whole, as they were described. What cannot be read is left out and logged."""
        found = []
        for path in sorted(self._path.glob(f"{ID_PREFIX}*{KNOWN}")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Finished))
            except (OSError, msgspec.MsgspecError) as error:
                log.warning("an export is left out: its description cannot be read", file=str(path), error=str(error))
        return found

    def has(self, finished: Finished) -> bool:
        """True when its file is there, and as long as it was when it was whole."""
        try:
            return self.path(finished.order).stat().st_size == finished.bytes
        except OSError:
            return False

    def path(self, order: Order) -> Path:
        """The file of an export that is whole."""
        return self._path / order.file_name

    def part(self, order: Order) -> Path:
        """The file of an export that is being written."""
        return self._path / (order.file_name + PART)

    def take_up(self, order: Order) -> Path:
        """The part to go on with. A file that had been finished, and was not described before the process ended, is a
        part again."""
        path, part = self.path(order), self.part(order)
        if path.exists() and not part.exists():
            path.rename(part)
        return part

    def created(self) -> None:
        """Call it when a part was made, before anybody relies on it."""
        _sync_directory(self._path)

    def finish(self, finished: Finished) -> None:
        """Gives a part that is whole and synced its name, and says so, durably and in this order."""
        part = self.part(finished.order)
        if part.exists():
            part.rename(self.path(finished.order))
            _sync_directory(self._path)
        described = self._path / (finished.order.export_id + KNOWN)
        draft = described.with_suffix(PART)
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(finished))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(described)
        _sync_directory(self._path)

    def remove(self, order: Order, *, described: bool = True) -> None:
        """Removes the file, its part and, with `described`, what is known of it. Readers of the file read on."""
        paths = [self.path(order), self.part(order)]
        if described:
            paths.append(self._path / (order.export_id + KNOWN))
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            _sync_directory(self._path)

    def remove_others(self, orders: list[Order], described: list[Finished]) -> None:
        """Removes what belongs to no export: a crash leaves it, or a job that was deleted."""
        kept = {name for order in orders for name in (order.file_name, order.file_name + PART)}
        kept |= {each.order.file_name for each in described}
        kept |= {each.order.export_id + KNOWN for each in described}
        for name in sorted(self._names()):
            if name not in kept:
                log.info("a file of no export is removed", file=name)
                with contextlib.suppress(OSError):
                    (self._path / name).unlink()

    def used(self) -> int:
        """Bytes of all files."""
        sizes = 0
        for name in self._names():
            with contextlib.suppress(OSError):
                sizes += (self._path / name).stat().st_size
        return sizes

    def check_room(self, more: int) -> None:
        """Checks that so many bytes more may be written.

        Raises:
            DoesNotFit: they may not.
        """
        used = self.used()
        if used + more > self._limit:
            raise DoesNotFit(
                f"exports may take {self._limit:,} bytes (export_bytes), of which {used:,} are used; ask for less, "
                "delete exports that nobody needs, or raise the setting"
            )
        disk = os.statvfs(self._path)
        free = disk.f_bavail * disk.f_frsize
        if free - more < RESERVED_BYTES:
            raise DoesNotFit(
                f"the disk is full: it has {free:,} bytes free, and exports leave {RESERVED_BYTES:,} of it to the log; "
                "make room, or ask for less"
            )

    def _names(self) -> Iterator[str]:
        with contextlib.suppress(OSError), os.scandir(self._path) as entries:
            yield from (entry.name for entry in entries if entry.name.startswith(ID_PREFIX))


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
