"""chDB, which is ClickHouse in a process: one MergeTree table with an index of the words of messages, one thread.

Usage: search.py load bloom|text DIRECTORY EVENTS_FILE | search.py ask bloom|text DIRECTORY
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from chdb.session import Session

from harness import questions as q

INDEXES = {
    "bloom": "INDEX words message TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1",
    "text": "INDEX words message TYPE text(tokenizer = splitByNonAlpha)",
}
TABLE = """CREATE TABLE bench.logs (
    project_id LowCardinality(String), timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    level LowCardinality(String), service LowCardinality(String), message String CODEC(ZSTD(1)),
    request_id String CODEC(ZSTD(1)), user_id UInt32 CODEC(ZSTD(1)), status UInt16 CODEC(ZSTD(1)),
    ms Float32 CODEC(ZSTD(1)),
    {index}, INDEX ids request_id TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree ORDER BY (service, project_id, timestamp)"""
INSERT = """INSERT INTO bench.logs SELECT project_id, parseDateTime64BestEffort(timestamp, 3, 'UTC'), level, service,
    message, metadata.request_id, metadata.user_id, metadata.status, metadata.ms
FROM file('{events}', 'JSONEachRow', 'project_id String, timestamp String, level String, service String,
    message String, metadata Tuple(request_id String, user_id UInt32, status UInt16, ms Float32)')"""
#: Past this a merge that is not done is a failure of the run.
MERGE_LIMIT_S, POLL_S = 600, 0.1


class Table:
    """The table in a directory."""

    def __init__(self, directory: str, kind: str) -> None:
        self._session = Session(directory)
        self.kind = kind
        for setting in ("max_threads = 1", "max_insert_threads = 1"):
            self.run(f"SET {setting}")

    def run(self, query: str, form: str = "TSV") -> str:
        return str(self._session.query(query, form)).strip()

    def number(self, query: str) -> int:
        return int(self.run(query) or 0)

    def load(self, events: str) -> None:
        began = time.process_time()
        self.run("CREATE DATABASE bench")
        self.run(TABLE.format(index=INDEXES[self.kind]))
        self.run(INSERT.format(events=events))
        self.run("OPTIMIZE TABLE bench.logs FINAL")
        deadline = time.monotonic() + MERGE_LIMIT_S
        while self.number("SELECT count() FROM system.merges WHERE database = 'bench'"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"merging: not within {MERGE_LIMIT_S} s")
            time.sleep(POLL_S)
        used = time.process_time() - began
        stored = "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = 'bench' AND active"
        q.Loaded(used, self.number(stored)).print()

    def words(self, *every: str) -> str:
        """The condition that the index can answer."""
        if self.kind == "text":
            return f"hasAllTokens(message, {list(every)!r})"
        return " AND ".join(f"hasToken(message, '{word}')" for word in every)

    def phrase(self, text: str) -> str:
        words = "".join(letter if letter.isalnum() else " " for letter in text).split()
        return f"{self.words(*words)} AND message LIKE '%{text}%'"


def questions(table: Table) -> q.Questions:
    def found(condition: str) -> Callable[[], int]:
        return lambda: table.number(f"SELECT count() FROM bench.logs WHERE {condition}")

    def rows(rest: str) -> Callable[[], int]:
        return lambda: table.run(f"SELECT * FROM bench.logs WHERE {rest}", "JSONEachRow").count("\n") + 1

    by_service = "SELECT service, count() FROM bench.logs GROUP BY service"
    return {
        q.RARE: found(table.words(q.RARE_WORD)),
        q.ABSENT: found(table.words(q.ABSENT_WORD)),
        q.TWO: found(table.words(*q.TWO_WORDS)),
        q.FEW: found(table.phrase(q.FEW_PHRASE)),
        q.COMMON: found(table.phrase(q.COMMON_PHRASE)),
        q.IP: found(table.phrase(q.ADDRESS)),
        q.UNIQUE: found(f"request_id = '{q.REQUEST}'"),
        q.LETTERS: found(f"match(message, '{q.LETTERS_REGEXP}')"),
        q.LITERALS: found(f"match(message, '{q.LITERALS_REGEXP}')"),
        q.ERRORS: found(f"level = '{q.LEVEL}'"),
        q.BY_SERVICE: lambda: int(dict(line.split("\t") for line in table.run(by_service).splitlines())[q.SERVICE]),
        q.ROWS: rows(f"user_id = {q.USER} ORDER BY timestamp DESC"),
        q.COUNT: found(f"user_id = {q.USER}"),
        q.LAST: rows(f"service = '{q.SERVICE}' ORDER BY timestamp DESC LIMIT {q.NEWEST}"),
        q.SUBSTRING: found(f"message LIKE '%{q.PART}%'"),
    }


def main() -> None:
    what, kind, directory, *events = sys.argv[1:]
    table = Table(directory, kind)
    if what == "load":
        table.load(str(Path(events[0]).resolve()))
        return
    # The parts are opened by the first query.
    table.number("SELECT count() FROM bench.logs")
    q.answer(questions(table))


if __name__ == "__main__":
    main()
