"""A small disk that fills up or stands still: mounted for a test, which takes root; skipped where that is not allowed.

It is not mounted below pytest's temporary directory: pytest removes the directories of earlier runs, and one that was
killed in the middle of such a test leaves a mount behind, which no ``rmdir`` removes. Whoever mounts the next removes
what the dead have left.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DISK_BYTES = 64 << 20
PREFIX = "forebay-test-disk-"


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """The directory of a file system of 64 MiB."""
    remove_left_behind()
    place = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        unmount(place)


class FreezableDisk:
    """A small ext4 on a loop device, whose writes can be made to stand still."""

    def __init__(self, place: Path) -> None:
        self.place = place

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing is written to it meanwhile, and whoever tries waits."""
        subprocess.run(["fsfreeze", "--freeze", str(self.place)], check=True)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", str(self.place)], check=True)


@contextlib.contextmanager
def freezable_disk() -> Iterator[FreezableDisk]:
    """The disk of an image file of its own; skipped where none can be mounted or frozen."""
    remove_left_behind()
    place = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    image = place.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(2 * DISK_BYTES)
    for command in (
        ["mkfs.ext4", "-q", "-F", str(image)],
        ["mount", "-o", "loop", str(image), str(place)],
        ["fsfreeze", "--freeze", str(place)],
        ["fsfreeze", "--unfreeze", str(place)],
    ):
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            why = ran.stderr.strip() if ran.returncode else ""
        except OSError as error:
            why = str(error)
        if why:
            unmount(place)
            pytest.skip(f"an ext4 that can be frozen cannot be mounted here: {why}")
    try:
        yield FreezableDisk(place)
    finally:
        unmount(place)


def unmount(place: Path) -> None:
    """Removes a disk and its image, also one that was left frozen."""
    if place.is_mount():
        with contextlib.suppress(OSError):
            subprocess.run(["fsfreeze", "--unfreeze", str(place)], capture_output=True, check=False)
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    place.rmdir()
    place.with_suffix(".image").unlink(missing_ok=True)


def remove_left_behind() -> None:
    """Unmounts the disks of test runs that are gone."""
    for place in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = place.name.removeprefix(PREFIX).split("-")[0]
        if Path("/proc", owner).exists():
            continue
        if place.is_dir():
            unmount(place)


def fill(disk: Path) -> Path:
    """Takes all space that is left; the file that holds it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 65536)
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 512)
    return ballast
