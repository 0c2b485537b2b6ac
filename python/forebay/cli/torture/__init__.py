"""Kills a real server under load, again and again, and compares what it kept with what it had promised."""

from forebay.cli.torture.audit import Audit
from forebay.cli.torture.events import Composer
from forebay.cli.torture.ledger import Ledger, Outcome, SentBatches
from forebay.cli.torture.load import Load
from forebay.cli.torture.report import TortureReport
from forebay.cli.torture.run import Plan, run
from forebay.cli.torture.victim import Victim
from forebay.server.process import StartFailed

__all__ = [
    "Audit",
    "Composer",
    "Ledger",
    "Load",
    "Outcome",
    "Plan",
    "SentBatches",
    "StartFailed",
    "TortureReport",
    "Victim",
    "run",
]
