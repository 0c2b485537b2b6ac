"""Describes the machine, on which a figure depends besides the code."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from harness.cache import REPOSITORY

#: With more of the machine in use by others than this before a run, its figures are not comparable.
BUSY_ABOVE = 0.15
#: What a run writes itself.
OUTPUTS = ("README.md", "history.svg", "runs")


def summary(directory: Path) -> str:
    """One line: processor, cores, memory, kernel, file system of ``directory``."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"{file_system(directory)}, Python {platform.python_version()}"
    )


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def file_system(directory: Path) -> str:
    place, best, kind = directory.resolve(), "", "unknown file system"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        if place.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def commit() -> str:
    """The short hash of the commit, with a + when files of the repository differ from it."""

    def git(*arguments: str) -> str:
        result = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return result.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *(f":!bench/{name}" for name in OUTPUTS))
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def used_by_others(seconds: float = 1.0) -> float:
    """The share of all cores in use while nothing of ours runs."""

    def sample() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = sample()
    time.sleep(seconds)
    later_total, later_idle = sample()
    return 1 - (later_idle - idle) / max(later_total - total, 1)
