from __future__ import annotations

from pathlib import Path

from peers.fastapi_kafka.peer import FastapiKafka


class FastapiTrack(FastapiKafka):
    """With the packages of `fastapi_kafka`."""

    name = "fastapi-track"
    path = "/v1/analytics/track"
    app = Path(__file__).parent
    topic = "analytics"
