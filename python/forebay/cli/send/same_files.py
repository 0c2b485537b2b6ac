"""Files that a run reads and files that it writes, which must not be the same."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path

from forebay.cli.send.rotation import is_rotated


def same_files(path: Path, rejected: str | None, state: Path | None) -> str:
    """Returns how two of the files that `forebay send` uses are one; empty when none are. What is rejected would be
    read and rejected again for ever, and each state be written over what was to be sent."""
    names = {"FILE": Path("/dev/stdin") if str(path) == "-" else path}
    if state is not None:
        names |= {"--state": state, "the lock of --state": state.with_name(f"{state.name}.lock")}
        names |= {"the next --state": state.with_name(f"{state.name}.new")}
    if rejected is not None:
        names["--rejected"] = Path(rejected)
    for (one, first), (other, second) in itertools.combinations(names.items(), 2):
        if _is_same(first, second):
            return f"{other}, {second}, is the same file as {one}"
    for name in ("--state", "--rejected"):
        if state is not None and name in names and is_rotated(path, names[name]):
            return f"{name} is {names[name]}, a name that files get which are rotated away from FILE, and would be sent"
    return ""


def _is_same(one: Path, other: Path) -> bool:
    try:
        first, second = one.stat(), other.stat()
    except OSError:
        # One is not there yet.
        return os.path.realpath(one) == os.path.realpath(other)
    # A terminal may be both.
    return stat.S_ISREG(first.st_mode) and os.path.samestat(first, second)
