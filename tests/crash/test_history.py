"""The history of the metrics over a killed server, a restart and a reset. A point takes ten seconds."""

import time
from collections.abc import Callable

import msgspec
import pytest

from forebay.server.broadcast.shapes import History
from support.harness import RunningServer, wait_for

pytestmark = pytest.mark.slow

POINT_SECONDS = 30.0
"""The next point comes within ten; the rest is for a busy machine."""


def history(server: RunningServer, hours: int = 1) -> History:
    with server.client() as client:
        answer = client.get("/api/metrics/history", params={"hours": hours}).raise_for_status()
    return msgspec.json.decode(answer.content, type=History)


def wait_for_points(server: RunningServer, count: int) -> None:
    wait_for("the next point", lambda: len(history(server).points) >= count, POINT_SECONDS)


def test_a_killed_server_loses_only_the_running_interval(server: Callable[..., RunningServer]) -> None:
    running = server()
    wait_for_points(running, 2)
    before = history(running)
    running.kill()
    killed_at = time.time() * 1000
    running = server()
    after = history(running)
    assert msgspec.to_builtins(after) == msgspec.to_builtins(before)
    assert after.damaged_points == 0
    wait_for_points(running, 3)
    points = history(running).points
    times = [point.timestamp for point in points]
    assert times == sorted(times)
    # The time in which nothing ran, and its interval that was not over, are a gap.
    assert times[1] <= killed_at < times[2] - 9_500
    assert points[2].health.uptime < points[1].health.uptime
    assert abs((times[1] - times[0]) - 10_000) < 2_000

    with running.client() as client:
        client.post("/api/reset").raise_for_status()
    assert history(running).points == []
    running.kill()
    assert history(server()).points == []
    assert running.data_dir.joinpath("history").is_dir()
    assert list(running.data_dir.joinpath("history").iterdir()) == []


def test_a_damaged_history_stops_no_start_and_is_counted(server: Callable[..., RunningServer]) -> None:
    running = server()
    wait_for_points(running, 1)
    assert running.terminate() == 0
    (file,) = running.data_dir.joinpath("history").glob("fine-*")
    damaged = bytearray(file.read_bytes())
    damaged[100] ^= 1
    file.write_bytes(bytes(damaged) + b"torn")
    shown = history(server())
    assert (shown.points, shown.damaged_points) == ([], 2)
