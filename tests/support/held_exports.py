"""A server whose exports stand still after so many steps, so that it can be killed in the middle of one.

As a program it is `forebay` with these exports.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from forebay.cli.main import main
from forebay.embedded.found import Step
from forebay.server.exports import engine_jobs, line_file, worker
from forebay.server.exports.worker import ExportWorker
from support.harness import RunningServer

STEPS = "HELD_EXPORT_STEPS"

STEP_BYTES = 16 << 10
"""So that there are many."""

KEEP_SECONDS = 0.0
"""So that each is stored, however fast they are."""


LEASE_MS = 1_000
"""So that the next server does not wait for long."""


class HeldServer(RunningServer):
    """Exports end after `steps` steps of each life of the server; None lets them go on."""

    def __init__(self, data_dir: Path, steps: int | None, **settings: Any) -> None:
        super().__init__(data_dir, **settings)
        self._environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
        self._environment[STEPS] = "" if steps is None else str(steps)

    def command(self) -> list[str]:
        python, _, _, *arguments = super().command()
        return [python, "-m", "support.held_exports", *arguments]


def hold(steps: int | None) -> None:
    """Lets exports of this process stand still after so many steps."""
    step, left = ExportWorker._step, steps
    line_file.STEP_BYTES = STEP_BYTES
    worker.KEEP_SECONDS = KEEP_SECONDS
    engine_jobs.LEASE_MS = LEASE_MS

    def held(self: ExportWorker, *arguments: Any) -> Step:
        nonlocal left
        if left is not None:
            if not left:
                threading.Event().wait()
            left -= 1
        return step(self, *arguments)

    ExportWorker._step = held  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    given = os.environ[STEPS]
    hold(int(given) if given else None)
    main()
