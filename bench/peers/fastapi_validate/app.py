"""FastAPI and pydantic: each event is validated and answered, and nothing is stored."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999


class Event(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: Text
    source: Annotated[str, Field(min_length=1, max_length=1024)]
    data: dict[str, Any]
    timestamp: Annotated[int, Field(ge=FIRST_MS, le=LAST_MS)] | None = None
    id: Annotated[str, Field(min_length=1, max_length=256)] | None = None


app = FastAPI()


@app.post("/api/events", response_model=None)
async def take(event: Event) -> dict[str, object]:
    began = time.perf_counter()
    millis = event.timestamp or time.time_ns() // 1_000_000
    name = event.id or f"evt_{millis}_{secrets.token_hex(12)}"
    return {"success": True, "eventId": name, "processingTime": (time.perf_counter() - began) * 1000}


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
