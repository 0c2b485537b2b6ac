"""A spool file is made in two steps; whoever looks for orphans in between must leave it alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from forebay.client.segment import MAKING
from forebay.client.spool import Spool

LIMIT = 1 << 20


def test_a_file_that_is_being_made_is_not_taken_for_an_orphan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, other = Spool(tmp_path, LIMIT), Spool(tmp_path, LIMIT)
    real = os.open

    def opened(path: Any, flags: int, mode: int = 0o777) -> int:
        descriptor = real(path, flags, mode)
        if str(path).endswith(MAKING) and flags & os.O_CREAT:
            # As the thread of this client does at its start, or of any other with the same directory.
            other.orphans()
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    place = made.open("drain")
    assert made.extend(place, made.write(place, [b"{}"]))
    assert place.segment.path.exists()
    made.close()
