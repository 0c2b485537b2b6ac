"""Sending events to a forebay server: batches in the background, nothing lost without being counted.

This package needs neither the engine nor anything of the server; of what forebay depends on it uses msgspec alone.
"""

from forebay.client.async_client import AsyncClient
from forebay.client.client import Client
from forebay.client.integrations.logging import LoggingHandler
from forebay.client.integrations.structlog import StructlogProcessor
from forebay.client.rejection import Rejection, TokenRefused
from forebay.client.stats import Stats

__all__ = ["AsyncClient", "Client", "LoggingHandler", "Rejection", "Stats", "StructlogProcessor", "TokenRefused"]
