"""FastAPI and pydantic in front of Kafka: 202 once the broker has acknowledged every event of the request.

`acks="all"` on one broker means: in the broker's page cache.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

TOPIC = "logs"
Text = Annotated[str, Field(min_length=1)]


class Event(BaseModel):
    project_id: Text
    timestamp: datetime
    level: Text
    service: Text
    message: str
    metadata: dict[str, Any] | None = None


class Batch(BaseModel):
    events: Annotated[list[Event], Field(min_length=1)]


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


@app.post("/v1/drain", status_code=202)
async def drain(batch: Batch, request: Request) -> dict[str, str]:
    producer: AIOKafkaProducer = request.app.state.producer
    delivered = [
        await producer.send(TOPIC, event.model_dump_json().encode(), key=event.project_id.encode())
        for event in batch.events
    ]
    await asyncio.gather(*delivered)
    return {"status": "accepted"}


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
