"""Run by `streams.py` with forebay's own Python: appends and reads in-process, prints one JSON object.

Usage: in_process.py DIRECTORY SECONDS
"""

from __future__ import annotations

import json
import resource
import sys
import time

import forebay

RECORD_BYTES = 250
BATCH = 1000
KEYS = 100


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def read_all(log: forebay.Log) -> list[float]:
    read, offset = 0, 0
    before, started = cpu_seconds(), time.perf_counter()
    while batch := log.read("records", offset, max_records=10_000):
        read += len(batch)
        offset = batch.next_offset
    elapsed, cpu = time.perf_counter() - started, cpu_seconds() - before
    return [read / elapsed, cpu / read * 1e6]


def main() -> None:
    directory, seconds = sys.argv[1], float(sys.argv[2])
    value = json.dumps({"text": "x" * (RECORD_BYTES - 12)}).encode()
    # `Log.append` makes these of records whose values are JSON already.
    records = [(b"key-%02d" % (index % KEYS), value, b"", None) for index in range(BATCH)]
    log = forebay.open(directory)
    log.create_stream("records")
    engine = log._engine
    for _ in range(100):
        engine.append("records", records, None)
    appended, before, started = 0, cpu_seconds(), time.perf_counter()
    while time.perf_counter() - started < seconds:
        engine.append("records", records, None)
        appended += BATCH
    elapsed, cpu = time.perf_counter() - started, cpu_seconds() - before
    log.close()
    # Opened again, all but the last journal file is sealed: what is read comes from segments.
    log = forebay.open(directory)
    reads = [read_all(log) for _ in range(2)]
    log.close()
    figures = {
        "append": [appended / elapsed, cpu / appended * 1e6],
        "read": reads[0],
        "read_again": reads[1],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
