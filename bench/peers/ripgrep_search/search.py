"""ripgrep over the file of events as they came, one thread; what counts or picks is what a shell has.

Usage: search.py EVENTS_FILE
"""

from __future__ import annotations

import json
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable

from harness import questions as q

RG = "rg -j1 --no-config"


def shell(command: str) -> str:
    """What it prints; a search that finds nothing ends with 1."""
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command} ended with {done.returncode}")
    return done.stdout


def questions(events: str) -> q.Questions:
    file = shlex.quote(events)

    def found(*patterns: str) -> Callable[[], int]:
        first, *more = map(shlex.quote, patterns)
        parts = [f"{RG} {'' if more else '-c '}-e {first} {file}"]
        parts += [f"{RG} {'-c ' if at == len(more) - 1 else ''}-e {pattern}" for at, pattern in enumerate(more)]
        return lambda: int(shell(" | ".join(parts)) or 0)

    def rows(command: str) -> Callable[[], int]:
        return lambda: shell(command).count("\n")

    def by_service() -> int:
        counts = shell(f'{RG} -o \'"service":"[a-z]+"\' {file} | LC_ALL=C sort | uniq -c')
        return next(int(line.split()[0]) for line in counts.splitlines() if f'"{q.SERVICE}"' in line)

    def word(text: str) -> str:
        return rf"\b{text}\b"

    user, service = f"'\"user_id\":{q.USER},'", f'\'"service":"{q.SERVICE}"\''
    return {
        q.RARE: found(word(q.RARE_WORD)),
        q.ABSENT: found(word(q.ABSENT_WORD)),
        q.TWO: found(*map(word, q.TWO_WORDS)),
        q.FEW: found(word(q.FEW_PHRASE)),
        q.COMMON: found(word(q.COMMON_PHRASE)),
        q.IP: found(word(q.ADDRESS.replace(".", r"\."))),
        q.UNIQUE: found(word(q.REQUEST)),
        q.LETTERS: found(q.LETTERS_REGEXP),
        q.LITERALS: found(q.LITERALS_REGEXP),
        q.ERRORS: found(f'"level":"{q.LEVEL}"'),
        q.BY_SERVICE: by_service,
        q.ROWS: rows(f"{RG} -F {user} {file}"),
        q.COUNT: found(f'"user_id":{q.USER},'),
        q.LAST: rows(f"tac {file} | {RG} -F -m {q.NEWEST} {service}"),
        q.SUBSTRING: found(q.PART),
    }


def main() -> None:
    figures = q.measured(questions(sys.argv[1]), q.children_cpu)
    # Linux counts it in KiB: the largest process that was started.
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    print(json.dumps({"questions": figures, "memory": {"before_mb": 0.0, "rss_mb": most}}))


if __name__ == "__main__":
    main()
