"""Makes the tables of README.md and history.svg of the runs in runs/; the other programs here do so after a run.

Usage:

    python bench/report.py              writes both
    python bench/report.py --check      ends with status 1 when one of them says something else
"""

from __future__ import annotations

import argparse
import sys

from harness import report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args().check:
        report.write()
        return 0
    stale = [path.name for path, text in report.files().items() if not path.exists() or path.read_text() != text]
    if stale:
        print(f"not what runs/ says: {', '.join(stale)}; make them with python bench/report.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
