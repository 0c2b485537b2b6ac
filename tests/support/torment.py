"""A server under load for the tests of this folder, on top of `forebay.cli.torture`."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Self

from forebay.cli.commands.source import source
from forebay.cli.torture import Audit, Composer, Ledger, Load, Victim
from support.harness import START_SECONDS, wait_for

SENDERS = 4

SMALL = {"ring_bytes": 8 << 20, "journal_file_bytes": 1 << 20, "journal_file_age_seconds": 1}
"""Files are sealed and recycled while a test runs."""


class Torment:
    """A victim, its ledger and its audit; the server is killed when the `with` ends."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.ledger = Ledger(SENDERS)
        self.composers = [Composer("test", sender, sender) for sender in range(SENDERS)]
        self.audit = Audit("test", self.ledger)
        self.victim = Victim(directory, {**SMALL, **settings})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.victim.kill()

    def start(self) -> None:
        self.victim.spawn()
        self.victim.await_serving(START_SECONDS)

    def load(self, batches: int) -> Load:
        """Starts the senders and returns when they have sent `batches` more; they go on."""
        load = Load(self.victim.url, self.ledger, self.composers, "fsync")
        wanted = self.sent() + batches
        load.start()
        wait_for("the senders' batches", lambda: self.sent() >= wanted or bool(load.findings))
        assert not load.findings, load.findings
        return load

    def sent(self) -> int:
        return sum(map(len, self.ledger.senders))

    def end(self, load: Load) -> float:
        """SIGTERM under load; seconds until the process has ended, with status 0."""
        load.ending.set()
        began = time.monotonic()
        self.victim.signal(signal.SIGTERM)
        status = self.victim.wait()
        seconds = time.monotonic() - began
        assert status == 0, self.victim.log_text()
        load.join()
        assert not load.findings, load.findings
        assert not load.broken_answers
        return seconds

    def check(self, *, stopped: bool) -> None:
        """Reads the directory without a server and checks everything."""
        with source(str(self.victim.data_dir), None, None) as directory:
            self.audit.catch_up(directory)
            self.audit.settle(stopped=stopped)
            self.audit.again(directory)
        assert not self.audit.findings, self.audit.findings
