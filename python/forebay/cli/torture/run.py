"""The loop: starts a server, reads and checks new records, loads it, kills it; stops it gracefully at the end."""

from __future__ import annotations

import random
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from click import ClickException

from forebay.cli.commands.source import Source, source
from forebay.cli.torture.audit import Audit
from forebay.cli.torture.events import Composer
from forebay.cli.torture.ledger import Ledger, Outcome
from forebay.cli.torture.load import Load
from forebay.cli.torture.report import TortureReport
from forebay.cli.torture.victim import Victim
from forebay.errors import ForebayError
from forebay.server.process import StartFailed

MIB = 1 << 20

RETENTION_BYTES = 16 * MIB
RING_BYTES = 8 * MIB
JOURNAL_FILE_BYTES = 1 * MIB

SETTINGS: Mapping[str, object] = {
    # The smallest sizes, so that sealing, recycling and retention are busy most of the time.
    "ring_bytes": RING_BYTES,
    "journal_file_bytes": JOURNAL_FILE_BYTES,
    "journal_file_age_seconds": 1,
    "logs_retention_bytes": RETENTION_BYTES,
    "shutdown_timeout_seconds": 10,
}

LIFE_BYTES = RETENTION_BYTES // 2
"""The most bytes sent in one life of the server: less than retention keeps, so that nothing is deleted unread."""

DISK_BYTES = RETENTION_BYTES + LIFE_BYTES + RING_BYTES + 8 * JOURNAL_FILE_BYTES
"""The largest data directory at rest: kept records, those since the last deletion, and the journal with its spare
files. More is a leak."""

LEAST_BYTES = LIFE_BYTES // 2
"""The most bytes that a life waits to send before its end, however slow the machine is: else nothing would ever be
deleted, and a kill would find nothing under way."""

LOAD_SECONDS = 1.5
SLOW_LOAD_SECONDS = 60.0
STOPPING_SECONDS = 0.05
REST_SECONDS = 20.0
SENDERS = 4
AGAIN_SHARE = 0.1
"""Every so many restarts all records are read again; after the others only new ones are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of a run.

    Attributes:
        directory: an empty directory for the server's data and log.
        kills: how often the server is killed.
        seed: determines what is sent and when the server is killed, up to the machine's timing.
        start_seconds: a start that takes longer is a finding.
    """

    directory: Path
    kills: int
    seed: int
    senders: int = SENDERS
    durability: str = "fsync"
    start_seconds: float = 30.0
    settings: Mapping[str, object] = field(default_factory=dict)


def run(plan: Plan, tell: Callable[[str], None] = lambda line: None) -> TortureReport:
    """Runs `plan`; `tell` gets one line for each kill."""
    cycle = _Cycle(plan)
    try:
        while sum(cycle.report.kills.values()) < plan.kills and not cycle.findings():
            tell(cycle.once())
        if not cycle.findings():
            cycle.finish()
    except (StartFailed, ForebayError, ClickException, subprocess.TimeoutExpired) as error:
        message = error.message if isinstance(error, ClickException) else str(error)
        cycle.load_findings.append(f"{type(error).__name__}: {message}")
    finally:
        cycle.victim.kill()
    return cycle.result()


class _Cycle:
    """The state of a run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed)  # noqa: S311 - reproducible, not secret
        name = f"{self.random.getrandbits(32):08x}"
        self.ledger = Ledger(plan.senders)
        self.composers = [Composer(name, sender, self.random.getrandbits(32)) for sender in range(plan.senders)]
        self.audit = Audit(name, self.ledger)
        self.report = TortureReport(plan.seed)
        self.load_findings: list[str] = []
        self.victim = Victim(plan.directory, {**SETTINGS, "durability": plan.durability, **plan.settings})

    def findings(self) -> list[str]:
        return [*self.load_findings, *self.audit.findings]

    def once(self) -> str:
        """Kills the server once; returns a line about it."""
        chance = self.random.random()
        if chance < 0.15 and self.report.start_seconds:
            # Anywhere from the first instruction to shortly after the first request could be served.
            typical = statistics.median(self.report.start_seconds[-9:])
            self.victim.spawn()
            time.sleep(self.random.uniform(0, 1.2 * typical))
            return self._kill("while starting")
        self._start()
        load = self._load()
        if chance < 0.25:
            self.victim.signal(signal.SIGTERM)
            time.sleep(self.random.uniform(0, STOPPING_SECONDS))
            line = self._kill("while stopping")
        else:
            line = self._kill("under load")
        self._join(load)
        return line

    def finish(self) -> None:
        """Runs a last server, stops it with SIGTERM, and reads the directory without a server."""
        self._start(again=True)
        self._rest()
        load = self._load()
        self.victim.signal(signal.SIGTERM)
        status = self.victim.wait()
        self._join(load)
        if status != 0:
            self.load_findings.append(f"after SIGTERM the server ended with status {status}")
        if load.broken_answers:
            self.load_findings.append(f"SIGTERM cut {load.broken_answers} answers in their middle")
        with source(str(self.victim.data_dir), None, None) as directory:
            self.audit.catch_up(directory)
            self.audit.settle(stopped=True)
            self.audit.again(directory)

    def result(self) -> TortureReport:
        report = self.report
        report.acknowledged = self.ledger.count(Outcome.ACKNOWLEDGED)
        report.refused = self.ledger.count(Outcome.REFUSED)[0]
        report.unanswered = self.ledger.count(Outcome.UNANSWERED)[0]
        report.unanswered_present = self.audit.present(Outcome.UNANSWERED)
        report.events_read = self.audit.events
        report.events_expired = self.audit.expired
        report.findings = self.findings()
        if self.audit.suppressed:
            report.findings.append(f"and {self.audit.suppressed} more")
        return report

    def _start(self, *, again: bool = False) -> None:
        began = time.monotonic()
        self.victim.spawn()
        self.victim.await_serving(self.plan.start_seconds)
        with source(None, self.victim.url, None) as server:
            self._ready(server)
            self.report.start_seconds.append(time.monotonic() - began)
            self.audit.catch_up(server)
            self.audit.settle()
            if again or self.random.random() < AGAIN_SHARE:
                self.audit.again(server)
        self._measure()

    def _ready(self, server: Source) -> None:
        """Checks that the log is writable and undamaged after a kill."""
        status = server.status()
        if not status["ready"]:
            raise StartFailed(f"the server is not ready after a kill: {status}")

    def _load(self) -> Load:
        load = Load(self.victim.url, self.ledger, self.composers, self.plan.durability)
        load.start()
        started, least = time.monotonic(), self.random.uniform(0, LEAST_BYTES)
        seconds = self.random.uniform(0, LOAD_SECONDS)
        while load.sent_bytes < LIFE_BYTES and not load.findings:
            passed = time.monotonic() - started
            if (passed >= seconds and load.sent_bytes >= least) or passed >= SLOW_LOAD_SECONDS:
                break
            time.sleep(0.002)
        # From here on a broken connection is not a finding.
        load.ending.set()
        return load

    def _kill(self, when: str) -> str:
        if self.victim.status() is not None and when != "while stopping":
            raise StartFailed(f"the server ended by itself {when}:\n{self.victim.log_end()}")
        self.victim.kill()
        self.report.kills[when] += 1
        return f"kill {sum(self.report.kills.values())} of {self.plan.kills} {when}, {self.audit.events} events checked"

    def _join(self, load: Load) -> None:
        load.join()
        self.load_findings += load.findings
        self._measure()

    def _measure(self) -> int:
        size = self.victim.disk_bytes()
        self.report.disk_bytes = max(self.report.disk_bytes, size)
        return size

    def _rest(self) -> None:
        """Waits until retention has caught up."""
        deadline = time.monotonic() + REST_SECONDS
        while self._measure() > DISK_BYTES:
            if time.monotonic() > deadline:
                self.load_findings.append(
                    f"the data directory takes {self._measure()} bytes at rest, more than {DISK_BYTES}: it leaks"
                )
                return
            time.sleep(0.05)
