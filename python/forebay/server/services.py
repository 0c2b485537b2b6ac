"""The services of the server that routes use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from forebay.server.broadcast.background import Background

if TYPE_CHECKING:
    from forebay._forebay import Engine, Front, MemoryBudget, Tunnel
    from forebay.cache.service import ViewService
    from forebay.server.broadcast.live import LiveMetrics
    from forebay.server.broadcast.long_polls import LongPolls
    from forebay.server.broadcast.metrics import MetricsBroadcaster
    from forebay.server.broadcast.sessions import Sessions
    from forebay.server.config import Settings
    from forebay.server.exports.exports import Exports
    from forebay.server.health import Health
    from forebay.server.http.auth import Authenticator
    from forebay.server.http.deliveries import Deliveries
    from forebay.server.http.router import Router
    from forebay.server.http.rsgi import Scope
    from forebay.server.http.tickets import Tickets
    from forebay.server.infrastructure.infrastructure import Infrastructure
    from forebay.server.infrastructure.reputation.reputation import Reputation
    from forebay.server.load_test import LoadTest
    from forebay.server.searches import Searches


class Services(Background, Protocol):
    """The engine and what one server has around it. `App` is the only implementation; tests have smaller ones."""

    engine: Engine
    settings: Settings
    authenticator: Authenticator
    tickets: Tickets
    sessions: Sessions
    polls: LongPolls
    live: LiveMetrics
    websockets: MetricsBroadcaster
    health: Health
    views: ViewService
    load_test: LoadTest
    deliveries: Deliveries
    searches: Searches
    exports: Exports
    infrastructure: Infrastructure
    reputation: Reputation
    memory_budget: MemoryBudget
    front: Front | None
    """None until the front serves the listener."""

    router: Router
    """The finished route table; not there yet while the routes are made."""

    def tunnel(self, scope: Scope) -> Tunnel | None:
        """The connection of a request's client; None when it did not come through the front."""
