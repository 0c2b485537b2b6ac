"""Runs `forebay-load` against a server and reads the server's CPU time over exactly the measured interval."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness.cache import REPOSITORY, call, need
from harness.server import Launch

#: The generator ends by itself; this much longer than asked means that it hangs.
LOAD_GRACE_S = 60
#: Work that a server does after its answers (sealing, compaction) must come to rest within this time.
SETTLE_LIMIT_S = 30
SETTLE_STEP_S = 0.5
#: A server at rest still wakes for its clocks.
SETTLED_BELOW_CORES = 0.04


@dataclass(frozen=True)
class Shape:
    """One load: how many events a request carries over how many connections, at what rate (0: closed loop)."""

    batch: int
    connections: int
    rate: float = 0.0
    content: str = "drain"

    @property
    def label(self) -> str:
        loop = f" at {self.rate:,.0f}/s" if self.rate else ""
        return f"batch {self.batch}, {self.connections} conn.{loop}"


@dataclass(frozen=True)
class Measurement:
    """The result of one run of one shape."""

    events_per_second: float
    p50_ms: float
    p99_ms: float
    #: CPU seconds of the server per million events acknowledged in the measured interval.
    cpu_s_per_million: float
    #: The same from before the warm-up until the server is at rest again, over every event acknowledged: what work
    #: in the background costs is in it.
    settled_cpu_s_per_million: float
    #: Answers other than 2xx, broken connections, timeouts, requests never answered.
    failures: int
    #: Open loop: requests that were due before the end and still queued there; their age is in the latencies.
    queued: int
    send_lag_p99_ms: float


def build() -> Path:
    """The generator's binary, built when it is not up to date."""
    cargo = need("cargo", "the load generator")
    command = [cargo, "build", "--release", "-q", "-p", "forebay-load", "--message-format=json-render-diagnostics"]
    for line in call(command, cwd=REPOSITORY).splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "forebay-load":
            return Path(message["executable"])
    raise RuntimeError("cargo built forebay-load but named no executable")


def measure(binary: Path, launch: Launch, path: str, shape: Shape, seconds: float, warmup: float) -> Measurement:
    """One run of the load. The server keeps running."""
    os.sync()
    before = launch.cpu_seconds()
    command = [
        *(str(binary), f"http://127.0.0.1:{launch.port}{path}", "--json", "--marks"),
        *("--content", shape.content, "--batch", str(shape.batch), "--connections", str(shape.connections)),
        *("--duration", str(seconds), "--warmup", str(warmup)),
        *(("--rate", str(shape.rate)) if shape.rate else ()),
    ]
    output, cpu = run_marked(command, launch, seconds + warmup)
    report = json.loads(output)
    if report["acknowledged_events"] == 0:
        raise RuntimeError(f"nothing was acknowledged at {shape.label}, answers were {report['statuses']}")
    return summary(report, cpu, settle(launch) - before)


def run_marked(command: list[str], launch: Launch, seconds: float) -> tuple[str, float]:
    """Runs a client on the load's core. Returns its output and the server's CPU time between the lines measure-start
    and measure-end on the client's standard error."""
    marks: dict[str, float] = {}
    errors: list[str] = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, launch.cores.load),
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        watchdog = threading.Timer(seconds + LOAD_GRACE_S, child.kill)
        watchdog.start()
        for line in child.stderr:
            if line.startswith("measure-"):
                marks[line.strip()] = launch.cpu_seconds()
            else:
                errors.append(line)
        output = child.stdout.read()
        child.wait()
        watchdog.cancel()
    if child.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {child.returncode}: {''.join(errors)}")
    return output, marks["measure-end"] - marks["measure-start"]


def settle(launch: Launch) -> float:
    """The server's CPU time once it is at rest."""
    deadline = time.monotonic() + SETTLE_LIMIT_S
    last = launch.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_STEP_S)
        now = launch.cpu_seconds()
        if now - last <= SETTLED_BELOW_CORES * SETTLE_STEP_S:
            return now
        last = now
    return last


def summary(report: dict[str, object], cpu: float, settled_cpu: float) -> Measurement:
    def number(name: str) -> float:
        value = report[name]
        assert isinstance(value, int | float)
        return float(value)

    def nested(name: str, field: str) -> float:
        value = report[name]
        assert isinstance(value, dict)
        return float(value[field])

    statuses = report["statuses"]
    assert isinstance(statuses, dict)
    lost = ("connection_failures", "timeouts", "unanswered_requests")
    refused = sum(count for status, count in statuses.items() if not status.startswith("2"))
    return Measurement(
        events_per_second=number("events_per_second"),
        p50_ms=nested("latency", "p50_ms"),
        p99_ms=nested("latency", "p99_ms"),
        cpu_s_per_million=cpu / max(number("acknowledged_events"), 1) * 1e6,
        settled_cpu_s_per_million=settled_cpu / max(number("total_acknowledged_events"), 1) * 1e6,
        failures=int(refused + sum(number(name) for name in lost)),
        queued=int(number("unsent_requests")),
        send_lag_p99_ms=nested("send_lag", "p99_ms"),
    )
