"""FastAPI and pydantic in front of Kafka: 202 once the broker has acknowledged every analytics event of the request.

`acks="all"` on one broker means: in the broker's page cache.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

TOPIC = "analytics"
MAX_BATCH_EVENTS = 1000
ACCEPTED = {"status": "accepted"}


class Part(BaseModel):
    """Further fields are kept."""

    model_config = ConfigDict(extra="allow")


class EventInfo(Part):
    type: Annotated[str, Field(min_length=1)]


class User(Part):
    id: str | None = None


class Device(Part):
    user_agent: str | None = None
    screen_width: int | None = None
    screen_height: int | None = None


class Context(Part):
    url: str | None = None
    session_id: str | None = None


class Metrics(Part):
    load_time: float | None = None


class AnalyticsEvent(Part):
    event: EventInfo
    user: User | None = None
    device: Device | None = None
    context: Context | None = None
    metrics: Metrics | None = None
    timestamp: datetime | None = None

    def key(self) -> bytes | None:
        found = (self.user and self.user.id) or (self.context and self.context.session_id)
        return found.encode() if found else None

    def value(self) -> bytes:
        return self.model_dump_json(exclude_unset=True).encode()


Batch = Annotated[list[AnalyticsEvent], Field(min_length=1, max_length=MAX_BATCH_EVENTS)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP"],
        acks="all",
        linger_ms=5,
        max_batch_size=131_072,
    )
    await producer.start()
    app.state.producer = producer
    yield
    await producer.stop()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/analytics/track", status_code=202, response_model=None)
async def track(event: AnalyticsEvent, request: Request) -> dict[str, str]:
    producer: AIOKafkaProducer = request.app.state.producer
    await producer.send_and_wait(TOPIC, event.value(), key=event.key())
    return ACCEPTED


@app.post("/v1/analytics/track/batch", status_code=202, response_model=None)
async def track_batch(events: Batch, request: Request) -> dict[str, str]:
    producer: AIOKafkaProducer = request.app.state.producer
    delivered = [await producer.send(TOPIC, event.value(), key=event.key()) for event in events]
    await asyncio.gather(*delivered)
    return ACCEPTED


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
