"""The result of one check."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from forebay.server.health.report import CheckStatus


class Level(enum.IntEnum):
    """The level of a result; a higher one is worse."""

    PASS = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def status(self) -> CheckStatus:
        """The level's name in responses."""
        return _STATUSES[self]


_STATUSES: dict[Level, CheckStatus] = {Level.PASS: "pass", Level.WARNING: "warning", Level.CRITICAL: "critical"}


@dataclass(slots=True)
class CheckResult:
    """A level with its reasons. `messages` are sentences of the worst level; `metadata` are measured values."""

    level: Level = Level.PASS
    messages: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def add(self, level: Level, message: str) -> None:
        """Adds a finding. Only the messages of the worst level are kept."""
        if level > self.level:
            self.messages.clear()
            self.level = level
        if level == self.level:
            self.messages.append(message)

    def compare(self, value: float, warning: float, critical: float, message: str) -> None:
        """Adds `message` when `value` has reached a limit."""
        if value >= critical:
            self.add(Level.CRITICAL, f"{message}, at or beyond the limit of {critical:g}")
        elif value >= warning:
            self.add(Level.WARNING, f"{message}, at or beyond the limit of {warning:g}")

    @property
    def message(self) -> str:
        """The messages as one sentence."""
        return "; ".join(self.messages)
