"""FastAPI and pydantic; each request appends its events to one file and waits for its own fdatasync.

A plain `def` endpoint runs in FastAPI's thread pool, so that requests wait for the disk beside each other.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel, Field

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


app = FastAPI()
log = os.open(os.environ["LOG_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


async def raw(request: Request) -> bytes:
    return await request.body()


@app.post("/v1/drain", status_code=202)
def drain(batch: Batch, body: Annotated[bytes, Depends(raw)]) -> dict[str, str]:
    os.write(log, body + b"\n")
    os.fdatasync(log)
    return {"status": "accepted"}


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
