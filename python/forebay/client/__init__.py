"""Sending events to a forebay server: batches in the background, nothing lost without being counted; and searching its
log.

This package needs neither the engine nor anything of the server; of what forebay depends on it uses msgspec alone.
"""

from forebay.client.async_client import AsyncClient
from forebay.client.client import Client
from forebay.client.integrations.logging import LoggingHandler
from forebay.client.integrations.structlog import StructlogProcessor
from forebay.client.rejection import Rejection, TokenRefused
from forebay.client.search import AsyncSearch, Counts, Hit, Search
from forebay.client.search_requests import SearchFailed
from forebay.client.stats import Stats

__all__ = [
    "AsyncClient",
    "AsyncSearch",
    "Client",
    "Counts",
    "Hit",
    "LoggingHandler",
    "Rejection",
    "Search",
    "SearchFailed",
    "Stats",
    "StructlogProcessor",
    "TokenRefused",
]
