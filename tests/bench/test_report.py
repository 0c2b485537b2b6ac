"""bench/README.md's tables and the picture of the history say what the runs in bench/runs say."""

import subprocess
import sys
from pathlib import Path

REPORT = Path(__file__).parents[2] / "bench" / "report.py"


def test_the_tables_and_the_picture_are_those_of_the_runs() -> None:
    checked = subprocess.run(
        [sys.executable, str(REPORT), "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
