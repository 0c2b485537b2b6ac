"""Kills a real server under load, again and again, and compares what it kept with what it had promised."""

from forebay.server_process import StartFailed
from forebay.torture.audit import Audit
from forebay.torture.events import Composer
from forebay.torture.ledger import Lane, Ledger, Outcome
from forebay.torture.load import Load
from forebay.torture.run import Plan, run
from forebay.torture.verdict import Verdict
from forebay.torture.victim import Victim

__all__ = [
    "Audit",
    "Composer",
    "Lane",
    "Ledger",
    "Load",
    "Outcome",
    "Plan",
    "StartFailed",
    "Verdict",
    "Victim",
    "run",
]
