"""A small disk that fills up: a tmpfs, mounted for a test, which takes root; skipped where that is not allowed.

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


def unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", str(place)], check=True)
    place.rmdir()


def remove_left_behind() -> None:
    """Unmounts the disks of test runs that are gone."""
    for place in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = place.name.removeprefix(PREFIX).split("-")[0]
        if Path("/proc", owner).exists():
            continue
        if place.is_mount():
            unmount(place)
        else:
            place.rmdir()


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
