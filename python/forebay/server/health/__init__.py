"""The seven checks of `GET /api/health`, and their status over time."""

from forebay.server.health.context import CheckContext, figures
from forebay.server.health.report import Check, HealthReport, Summary
from forebay.server.health.service import Health

__all__ = ["Check", "CheckContext", "Health", "HealthReport", "Summary", "figures"]
