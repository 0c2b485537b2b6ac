"""The check `system_resources`: memory, file handles and disk space."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from forebay.server.health.check_result import CheckResult, Level
from forebay.server.health.context import CheckContext

_CGROUPS = Path("/sys/fs/cgroup")


class SystemResources:
    """Compares what the process uses with what the machine, its control group and its limits leave it."""

    def __init__(self, context: CheckContext) -> None:
        self._context = context

    def __call__(self) -> CheckResult:
        result = CheckResult()
        self._memory(result)
        self._handles(result)
        self._disk(result)
        figures = result.metadata
        result.add(
            Level.PASS,
            f"{figures['memoryBytes'] >> 20} MiB of memory, {figures['fileHandles']} file handles, "
            f"{figures['freeDiskBytes'] >> 20} MiB of disk free",
        )
        return result

    def _memory(self, result: CheckResult) -> None:
        settings = self._context.settings
        used, limit = resident_bytes(), memory_limit()
        percent = 100 * used / limit
        result.metadata |= {"memoryBytes": used, "memoryLimitBytes": limit}
        result.compare(
            percent,
            settings.health_memory_warning_percent,
            settings.health_memory_critical_percent,
            f"{percent:.0f} % of the memory is used, {used >> 20} MiB",
        )

    def _handles(self, result: CheckResult) -> None:
        settings = self._context.settings
        used, limit = len(os.listdir("/dev/fd")), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        bounded = limit != resource.RLIM_INFINITY
        result.metadata |= {"fileHandles": used, "fileHandleLimit": limit if bounded else None}
        percent = 100 * used / limit if bounded else 0.0
        result.compare(
            percent,
            settings.health_file_handles_warning_percent,
            settings.health_file_handles_critical_percent,
            f"{percent:.0f} % of the file handles are used, {used} of {limit}",
        )

    def _disk(self, result: CheckResult) -> None:
        settings = self._context.settings
        free = shutil.disk_usage(settings.data_dir).free
        result.metadata["freeDiskBytes"] = free
        for level, limit in (
            (Level.CRITICAL, settings.health_free_disk_critical_bytes),
            (Level.WARNING, settings.health_free_disk_warning_bytes),
        ):
            if free < limit:
                result.add(level, f"{free >> 20} MiB of disk are free, less than {limit >> 20} MiB")
                return


def resident_bytes() -> int:
    """Resident memory of this process (proc(5), statm); its peak where the system does not tell."""
    for line in _lines(Path("/proc/self/statm")):
        return int(line.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory_limit() -> int:
    """The memory that this process may use: the machine's, or less when a control group limits it."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in _lines(Path("/proc/self/cgroup")):
        _number, controllers, group = line.split(":", 2)
        if controllers == "":
            limits += _limits(_CGROUPS, group, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits(_CGROUPS / "memory", group, "memory.limit_in_bytes")
    return min(limits)


def _limits(root: Path, group: str, name: str) -> list[int]:
    """The limits of a group and of its ancestors, without those that are "max". In a container the group's own path is
    often missing, and the container's group is the root."""
    place = root / group.lstrip("/")
    texts = [
        text
        for directory in (place, *place.parents)
        if root in (directory, *directory.parents)
        for text in _lines(directory / name)
    ]
    return [int(text) for text in texts if text.isdigit() and int(text) > 0]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
