"""The command that starts a process for functions."""

from __future__ import annotations

import sys
from collections.abc import Sequence

GROUP = "forebay.functions"
"""Entry points of installed packages that name a module with functions, or one function."""


def command(modules: Sequence[str], memory_bytes: int) -> list[str]:
    """Returns the command, or nothing when there are no functions to be run: no modules, and no entry points."""
    # Imported here, since it takes longer than all else that the commands import which open no log. Entry points are
    # looked up here and not in the processes, for which that would be two thirds more time to start.
    from importlib.metadata import entry_points

    installed = [f"{point.name}={point.value}" for point in entry_points(group=GROUP)]
    if not modules and not installed:
        return []
    options = [argument for point in installed for argument in ("--installed", point)]
    return [sys.executable, "-m", "forebay.processors.worker", "--memory", str(memory_bytes), *options, *modules]
