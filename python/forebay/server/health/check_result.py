"""What one probe found."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from forebay.server.health.report import CheckStatus


class Level(enum.IntEnum):
    """How bad it is; more is worse."""

    PASS = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def status(self) -> CheckStatus:
        """The level's name in answers."""
        return _STATUSES[self]


_STATUSES: dict[Level, CheckStatus] = {Level.PASS: "pass", Level.WARNING: "warning", Level.CRITICAL: "critical"}


@dataclass(slots=True)
class CheckResult:
    """`messages` are sentences; those of the worst level are shown. `metadata` are true figures."""

    level: Level = Level.PASS
    messages: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def find(self, level: Level, message: str) -> None:
        """Adds what was found. What is less bad than something else of the same check is not shown."""
        if level > self.level:
            self.messages.clear()
            self.level = level
        if level == self.level:
            self.messages.append(message)

    def compare(self, value: float, warning: float, critical: float, message: str) -> None:
        """Adds `message` when `value` has reached a limit."""
        if value >= critical:
            self.find(Level.CRITICAL, f"{message}, at or beyond the limit of {critical:g}")
        elif value >= warning:
            self.find(Level.WARNING, f"{message}, at or beyond the limit of {warning:g}")

    @property
    def message(self) -> str:
        """All that is shown, as one sentence."""
        return "; ".join(self.messages)
