"""The check `log_storage`: whether the data directory can be written and synced, and the log's own status."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from forebay.server.health.check_result import CheckResult, Level
from forebay.server.health.context import CheckContext

PROBE_FILE = "health.probe"
"""The probe file in the data directory. It is removed after each probe; one that a crash left is overwritten."""

PROBE_BYTES = 4096
"""The block size of most disks: the smallest write that shows whether a block can be allocated and synced."""

SHOWN_DAMAGES = 3
"""The most damages in the message; the metadata list more."""

LISTED_DAMAGES = 20
"""The most damages in the metadata. A directory with more needs `forebay verify` anyway."""


class LogStorage:
    """Writes, syncs and removes a small file, and reads the log's status."""

    def __init__(self, context: CheckContext) -> None:
        self._context = context

    def __call__(self) -> CheckResult:
        settings, status = self._context.settings, self._context.engine.status()
        mode: str = status["mode"]
        damages: Sequence[Mapping[str, Any]] = status["damages"]
        backlog: int = status["seal_backlog_files"]
        result = CheckResult(
            metadata={
                "mode": mode,
                "durability": settings.durability,
                "sealBacklogFiles": backlog,
                "sealerStuck": status["sealer_stuck"],
                "clockUnprovenSeconds": None if status["clock_doubt"] is None else round(status["clock_doubt"][0], 3),
                "troubles": status["troubles"],
                "damagesTotal": len(damages),
                "damages": [dict(damage) for damage in damages[:LISTED_DAMAGES]],
            }
        )
        if mode != "running":
            result.add(Level.CRITICAL, f"the log is {mode}: {status['reason']}")
        # A log that is opened read-only changes nothing in its directory.
        if mode not in ("read_only", "closed"):
            self._probe(result)
        if status["sealer_stuck"]:
            result.add(Level.WARNING, f"sealing does not get on: {status['sealer_stuck']}")
        if status["clock_doubt"] is not None:
            result.add(Level.WARNING, doubted(*status["clock_doubt"]))
        if status["clock_problem"]:
            result.add(Level.WARNING, status["clock_problem"])
        for trouble in status["troubles"]:
            result.add(Level.WARNING, trouble)
        if backlog >= settings.health_seal_backlog_warning_files:
            limit = settings.health_seal_backlog_warning_files
            result.add(Level.WARNING, f"{backlog} full journal files are not sealed yet, at or beyond {limit}")
        if damages:
            result.add(Level.WARNING, damaged(damages))
        result.add(Level.PASS, f"a probe of {PROBE_BYTES} bytes was written and synced")
        if settings.durability != "fsync":
            result.messages.append(f"acknowledgements promise '{settings.durability}' and not 'fsync', as configured")
        return result

    def _probe(self, result: CheckResult) -> None:
        settings = self._context.settings
        started = time.perf_counter()
        try:
            write_probe(Path(settings.data_dir))
        except OSError as error:
            result.add(Level.CRITICAL, f"a probe file cannot be written to the data directory: {error.strerror}")
            result.metadata["probeError"] = error.strerror
            return
        elapsed = (time.perf_counter() - started) * 1000
        result.metadata["probeMs"] = round(elapsed, 3)
        limit = settings.health_storage_probe_warning_ms
        if elapsed >= limit:
            result.add(Level.WARNING, f"writing and syncing a probe took {elapsed:.0f} ms, at or beyond {limit:g}")


def write_probe(directory: Path) -> None:
    """Writes a file, syncs it and removes it.

    Raises:
        OSError: any of that failed.
    """
    path = directory / PROBE_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        written = os.write(descriptor, bytes(PROBE_BYTES))
        if written < PROBE_BYTES:
            # The disk has no room for the rest; writing it raises the reason.
            os.write(descriptor, bytes(PROBE_BYTES - written))
        os.fsync(descriptor)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(descriptor)


def doubted(unproven: float, left: float) -> str:
    """The message about a wall clock in doubt. Both arguments are in seconds."""
    way = "ahead of" if unproven >= 0 else "behind"
    return (
        f"after a restart of the machine its clock is {timedelta(seconds=abs(round(unproven)))} {way} what is proven: "
        f"nothing is deleted for that time until the clock is set, POST /api/clock/release says that it is right, or "
        f"{timedelta(seconds=round(left))} have passed"
    )


def damaged(damages: Sequence[Mapping[str, Any]]) -> str:
    """The damages in one sentence: file, range and stream of the first ones, and the number of the others."""
    named = [_place(damage) for damage in damages[:SHOWN_DAMAGES]]
    more = f" and {len(damages) - SHOWN_DAMAGES} more" if len(damages) > SHOWN_DAMAGES else ""
    return f"damaged: {', '.join(named)}{more}; stop the server and run 'forebay verify'"


def _place(damage: Mapping[str, Any]) -> str:
    place = str(damage["file"])
    if damage["range"] is not None:
        first, length = damage["range"]
        place += f" bytes {first} to {first + length}"
    if damage["stream"] is not None:
        place += f" (stream {damage['stream']})"
    return f"{place}: {damage['what']}"
