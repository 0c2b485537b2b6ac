"""The seven checks of `GET /api/health`, each really probed, and what comes of them over time."""

from forebay.health.report import Check, HealthReport, Summary
from forebay.health.service import Health
from forebay.health.sources import Sources, figures

__all__ = ["Check", "Health", "HealthReport", "Sources", "Summary", "figures"]
