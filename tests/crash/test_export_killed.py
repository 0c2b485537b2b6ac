"""SIGKILL in the middle of log exports: each goes on, and its file is what it would have been."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from forebay.server.exports.engine_jobs import LEASE_MS
from support.harness import RunningServer, batch, event, serving, wait_for
from support.held_exports import STEP_BYTES, HeldServer

pytestmark = pytest.mark.slow

EXPORT = "/api/v1/platform/system/logs/export"
BATCH = 2_000
EVENTS = 20_000
STEPS = 60
KILLS = 3
SECONDS = 120.0 + LEASE_MS / 1000
"""What a killed server was at goes on when its lease has ended."""


def fill(running: RunningServer, count: int = EVENTS) -> None:
    for start in range(0, count, BATCH):
        events = [event(f"number {n} {'x' * 200}", metadata={"n": n}) for n in range(start, start + BATCH)]
        running.drain(batch(*events)).raise_for_status()


def begun(running: RunningServer, form: str) -> str:
    with running.client() as client:
        answered = client.get(EXPORT, params={"query": "number", "format": form}).raise_for_status()
    export_id: str = answered.json()["data"]["export_id"]
    return export_id


def state(running: RunningServer, export_id: str) -> dict[str, Any]:
    with running.client() as client:
        data: dict[str, Any] = client.get(f"{EXPORT}/{export_id}").raise_for_status().json()["data"]
        return data


def content_of(running: RunningServer, export_id: str) -> bytes:
    """The file of an export that has ended by now, or soon."""
    wait_for("the export", lambda: state(running, export_id)["status"] != "processing", SECONDS)
    found = state(running, export_id)
    assert found["status"] == "completed", found
    with running.client() as client:
        content = client.get(found["download_url"]).raise_for_status().content
    assert len(content) == found["progress"]["bytes"]
    return content


def numbers(form: str, content: bytes) -> list[int]:
    """The numbers of the events in a file."""
    match form:
        case "csv":
            rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
            return sorted(json.loads(row["metadata"])["n"] for row in rows)
        case "txt":
            return sorted(int(line.split()[4]) for line in content.splitlines())
        case "parquet":
            table = pytest.importorskip("pyarrow.parquet").read_table(io.BytesIO(content))
            return sorted(json.loads(text)["n"] for text in table["metadata"].to_pylist())
        case _:
            return sorted(json.loads(line)["value"]["metadata"]["n"] for line in content.splitlines())


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exports") / "data"
    with serving(directory) as running:
        fill(running)
        running.terminate()
    return directory


def killed_when_held(directory: Path, form: str, export_id: str, reached: int) -> tuple[str, int]:
    """Lets a server export until it stands still, and kills it; the export, and the bytes that it had reached."""
    held = HeldServer(directory, STEPS)
    try:
        held.start()
        export_id = export_id or begun(held, form)
        enough = reached + STEPS // 2 * STEP_BYTES
        wait_for("the export to stand still", lambda: state(held, export_id)["progress"]["bytes"] > enough, SECONDS)
        found = state(held, export_id)
        assert (found["status"], found["download_url"]) == ("processing", None)
        with held.client() as client:
            assert client.get(f"{EXPORT}/{export_id}/download").status_code == 404
        return export_id, found["progress"]["bytes"]
    finally:
        held.stop()


@pytest.mark.parametrize("form", ["json", "csv", "txt"])
def test_a_killed_export_goes_on_and_has_each_event_once(filled: Path, form: str) -> None:
    export_id, reached = "", 0
    for kill in range(KILLS):
        export_id, reached = killed_when_held(filled, form, export_id, reached)
        assert reached > (kill + 1) * (STEPS // 2) * STEP_BYTES, "it has not begun anew"
        [part] = (filled / "exports").glob(f"{export_id}*")
        assert part.suffix == ".part", "nothing of it looks whole"
        with part.open("ab") as file:
            # What a crash of the machine may leave behind what was synced.
            file.write(os.urandom(16 << 20))
    with serving(filled) as running:
        assert state(running, export_id)["progress"]["bytes"] > 0, "what was stored is shown before it goes on"
        assert numbers(form, content_of(running, export_id)) == list(range(EVENTS))
        assert state(running, export_id)["progress"]["records"] == EVENTS


def test_killed_at_any_time_every_export_is_whole_in_the_end(tmp_path: Path) -> None:
    forms = ["json", "csv", "txt", "json", "csv"]
    try:
        import pyarrow  # noqa: F401

        forms.append("parquet")
    except ImportError:
        pass
    seed = int(os.environ.get("FOREBAY_SEED", "") or random.randrange(1 << 32))
    chance = random.Random(seed)
    running = RunningServer(tmp_path / "data").start()
    try:
        fill(running, 5 * EVENTS)
        wanted = [(form, begun(running, form)) for form in forms]
        for _ in range(KILLS):
            time.sleep(chance.uniform(0, 0.5))
            running.stop()
            running.start()
            if chance.random() < 0.5:
                # Until something is under way again, so that a kill does not only meet leases of dead servers.
                wait_for("a part", lambda: any((tmp_path / "data" / "exports").glob("*.part")), SECONDS)
        for form, export_id in wanted:
            assert numbers(form, content_of(running, export_id)) == list(range(5 * EVENTS)), (form, seed)
        names = {path.name for path in (tmp_path / "data" / "exports").iterdir()}
        assert len(names) == 2 * len(wanted), f"{names} {seed}"
    finally:
        running.stop()
