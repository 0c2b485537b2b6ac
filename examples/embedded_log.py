"""The log inside a Python process: durable when `append` returns, read by offset, by time and by a consumer.

    python examples/embedded_log.py DIRECTORY

Run it again on the same directory, and it goes on where the last run was. One process owns a directory at a time.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import forebay
from forebay.errors import StreamAlreadyExists

ORDERS = 1000


def main(directory: str) -> None:
    with forebay.open(directory) as log:
        try:
            log.create_stream("orders", partitions=2, compression="zstd", retention_ms=30 * 24 * 3600 * 1000)
        except StreamAlreadyExists:
            print("the orders of earlier runs are there")

        # One atomic batch, one fdatasync. Records of one key stay in one partition, in their order.
        begun = datetime.now(UTC)
        orders = [
            forebay.Record({"order": number, "amount": number % 90}, key=f"customer-{number % 10}")
            for number in range(ORDERS)
        ]
        receipt = log.append("orders", orders)
        print(f"the first order is at {receipt.partitions[0]}/{receipt.offsets[0]}")

        # By offset: keys, times and values are columns, and a value is decoded when it is asked for.
        records = log.read("orders", receipt.offsets[0], partition=receipt.partitions[0], max_records=3)
        print(records.timestamps.view("datetime64[us]"), records[0])

        # By time: one block of each partition is read, however long the stream is.
        recent = log.read_since("orders", begun)
        print(f"{sum(map(len, recent))} orders since this run began")

        # The log is read as a group: the position is kept in the log, so that the next run goes on behind it.
        total = 0
        with log.consumer("billing", "orders", filter="value.amount >= 80") as consumer:
            while batches := consumer.poll(timeout=0):
                total += sum(order["amount"] for records in batches for order in records)
                consumer.commit()
        print(f"{total} billed")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(sys.argv[1])
