"""The same as one query over the whole file, of one thread: a batch, which is over before anything more comes.
Usage: count.py INPUT OUTPUT RECORDS"""

from __future__ import annotations

import sys

import duckdb

from harness.transactions import THRESHOLD, WINDOW_MS
from harness.turn import Turn

QUERY = f"""COPY (
    SELECT "at" // {WINDOW_MS} * {WINDOW_MS} AS "windowStart", "userId" AS key, count(*) AS count
    FROM read_json($input, format = 'newline_delimited',
        columns = {{userId: 'VARCHAR', amount: 'DOUBLE', 'at': 'BIGINT'}})
    WHERE amount > {THRESHOLD} GROUP BY ALL ORDER BY ALL
) TO '{{output}}' (FORMAT json)"""


def main() -> None:
    source, output, records = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connection = duckdb.connect(config={"threads": 1})
    with Turn() as turn:
        connection.execute(QUERY.replace("{output}", output), {"input": source})
    turn.print(records)


if __name__ == "__main__":
    main()
