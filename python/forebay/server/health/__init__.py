"""The seven checks of `GET /api/health`, each really probed, and what comes of them over time."""

from forebay.server.health.report import Check, HealthReport, Summary
from forebay.server.health.service import Health
from forebay.server.health.sources import Sources, figures

__all__ = ["Check", "Health", "HealthReport", "Sources", "Summary", "figures"]
