"""bench/processors.py with a tiny input: forebay and plain Python, whose results it compares with brute force."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "bench" / "processors.py"
SECONDS = 240.0
"""Longer than the run takes on a busy machine."""


def run(cache: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    own = {"BENCH_CACHE": str(cache), "BENCH_FOREBAY": str(Path(sys.executable).with_name("forebay"))}
    return subprocess.run(
        [sys.executable, str(PROGRAM), *flags],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=os.environ | own,
    )


def test_each_row_is_right_and_every_turn_is_kept(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "forebay,python", "--records", "2000", "--rounds", "1", "--no-append")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert [bool(re.search(r"\| 2,000, right \| [\d,]+ \| [\d.]+ \| \d+ \(\d+\) \| - \|$", row)) for row in rows] == [
        True
    ] * 4, done.stdout
    assert re.search(r"^forebay, records in the ring beside Python, .* times its CPU$", done.stdout, re.MULTILINE)
    (kept,) = (tmp_path / "results").glob("*-processors.json")
    turns = json.loads(kept.read_text())["turns"]
    assert len(turns) == 4
    assert {turn["verdict"] for found in turns.values() for turn in found} == {"right"}
    assert not any(tmp_path.glob("venv-*")), "what was not asked for was installed"


def test_a_name_that_there_is_not_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "forebay,flink")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown: flink; --list prints the names" in done.stderr
