"""One sender, one run, in a process of its own: prints JSON. Usage: send.py WHO URL EVENTS [SPOOL]

The interpreter that runs this decides what is installed; forebay's client is imported from the repository.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MESSAGE = "order was shipped to the customer's address after two tries"
FIELDS = {"user_id": 123_456, "path": "/api/v1/orders/17", "duration_ms": 12.5, "region": "eu-central-1"}

Sent = tuple[Callable[[int], None], Callable[[], int]]
"""A function that hands so many events over, and one that waits until all are sent and tells how many were not."""


def forebay(url: str, spool: str | None, **options: Any) -> Any:
    from forebay.client import Client

    return Client(url, service="bench", spool=spool, **options)


def log(url: str, spool: str | None, **options: Any) -> Sent:
    client = forebay(url, spool, **options)

    def hand_over(events: int) -> None:
        for _ in range(events):
            client.log(MESSAGE, metadata=FIELDS)

    return hand_over, lambda: client.close(120) + client.stats().dropped + client.stats().rejected


def log_many(url: str, spool: str | None) -> Sent:
    client = forebay(url, spool)
    event = {"message": MESSAGE, "level": "info", "metadata": FIELDS}
    return (
        lambda events: client.log_many(event for _ in range(events)),
        lambda: client.close(120) + client.stats().dropped + client.stats().rejected,
    )


def handler(url: str, spool: str | None) -> Sent:
    from forebay.client import LoggingHandler

    client = forebay(url, spool)
    logger = logging.getLogger("bench")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(LoggingHandler(client))

    def hand_over(events: int) -> None:
        for _ in range(events):
            logger.info(MESSAGE, extra=FIELDS)

    return hand_over, lambda: client.close(120) + client.stats().dropped


def posthog(url: str, _spool: str | None) -> Sent:
    from posthog import Posthog

    # Its default queue of 10,000 drops what does not fit: here everything has room, so that all of it is sent.
    client = Posthog("phc_bench", host=url, max_queue_size=10_000_000, flush_at=100, gzip=False)

    def hand_over(events: int) -> None:
        for _ in range(events):
            client.capture(MESSAGE, distinct_id="user", properties=FIELDS)

    def end() -> int:
        client.shutdown()
        return 0

    return hand_over, end


def opentelemetry(url: str, _spool: str | None) -> Sent:
    from opentelemetry._logs import SeverityNumber
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    processor = BatchLogRecordProcessor(
        OTLPLogExporter(endpoint=f"{url}/v1/logs"), max_queue_size=10_000_000, max_export_batch_size=512
    )
    provider.add_log_record_processor(processor)
    logger = provider.get_logger("bench")

    def hand_over(events: int) -> None:
        for _ in range(events):
            logger.emit(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=MESSAGE,
                attributes=FIELDS,
            )

    def end() -> int:
        processor.force_flush(120_000)
        provider.shutdown()
        return 0

    return hand_over, end


SENDERS: dict[str, Callable[..., Sent]] = {
    "log": log,
    "log-batch-100": lambda url, spool: log(url, spool, batch_events=100),
    "log-batch-200": lambda url, spool: log(url, spool, batch_events=200),
    "log-batch-1000": lambda url, spool: log(url, spool, batch_events=1000),
    "log-one-connection": lambda url, spool: log(url, spool, connections=1),
    "log_many": log_many,
    "logging": handler,
    "posthog": posthog,
    "opentelemetry": opentelemetry,
}


def main() -> None:
    who, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    hand_over, end = SENDERS[who](url, sys.argv[4] if len(sys.argv) > 4 else None)
    hand_over(min(1000, count // 10))
    began, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
    hand_over(count)
    handed, own = time.perf_counter() - began, time.thread_time() - own
    missing = end()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(
        json.dumps(
            {
                "events_per_second": count / seconds,
                "call_us": own / count * 1e6,
                "call_wall_us": handed / count * 1e6,
                "cpu_s_per_million": cpu / count * 1e6,
                "missing": missing,
            }
        )
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "python"))
    main()
