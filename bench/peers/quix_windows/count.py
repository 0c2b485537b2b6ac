"""The same by Quix Streams on Kafka, exactly once: topics of one partition, keys by user, so that nothing is keyed
again. Usage: count.py INPUT OUTPUT RECORDS BROKER DIRECTORY

Filling the source and reading the results back are not measured.
"""

from __future__ import annotations

import itertools
import json
import sys
from datetime import timedelta
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from quixstreams import Application

from harness.transactions import THRESHOLD, WINDOW_MS
from harness.turn import Turn

SOURCE, SINK = "transactions", "results"
READ_LIMIT_S = 20


def fill(broker: str, source: str, records: int) -> None:
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 5, "queue.buffering.max.messages": 2_000_000})
    with open(source, "rb") as file:
        for line in itertools.islice(file, records):
            one = json.loads(line)
            producer.produce(SOURCE, line.rstrip(), one["userId"].encode(), timestamp=one["at"])
    if producer.flush(READ_LIMIT_S):
        raise RuntimeError("the source could not be filled")


def application(broker: str, directory: str, records: int) -> Application:
    def processed(topic: str, partition: int, offset: int) -> None:
        if topic == SOURCE and offset == records - 1:
            app.stop()

    app = Application(
        broker,
        consumer_group="bench",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=f"{directory}/state",
        on_message_processed=processed,
        loglevel="WARNING",
    )
    frame = app.dataframe(app.topic(SOURCE, value_deserializer="json", key_deserializer="str"))
    frame = frame[frame["amount"] > THRESHOLD]
    # The default closes windows by key, so that those of keys without later records would never end.
    frame = frame.tumbling_window(timedelta(milliseconds=WINDOW_MS)).count().final(closing_strategy="partition")
    frame = frame.apply(
        lambda window, key, timestamp, headers: {"windowStart": window["start"], "key": key, "count": window["value"]},
        metadata=True,
    )
    frame.to_topic(app.topic(SINK, value_serializer="json", key_serializer="str"))
    return app


def store(broker: str, output: str) -> None:
    settings: dict[str, Any] = {"bootstrap.servers": broker, "group.id": "read", "enable.auto.commit": False}
    consumer = Consumer({**settings, "isolation.level": "read_committed", "enable.partition.eof": True})
    consumer.assign([TopicPartition(SINK, 0, 0)])
    with open(output, "wb") as file:
        while (message := consumer.poll(READ_LIMIT_S)) is not None and message.error() is None:
            file.write(message.value() + b"\n")
    consumer.close()


def main() -> None:
    source, output, records, broker, directory = sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]
    fill(broker, source, records)
    app = application(broker, directory, records)
    with Turn() as turn:
        app.run()
    store(broker, output)
    turn.print(records)


if __name__ == "__main__":
    main()
