"""Sending events to a forebay server: batches in the background, nothing lost without being counted.

This package needs neither the engine nor anything of the server; of what forebay depends on it uses msgspec alone.
"""

from forebay.client.async_client import AsyncClient
from forebay.client.client import Client
from forebay.client.rejection import Rejection
from forebay.client.standard_logging import StandardLogging as LoggingHandler
from forebay.client.stats import Stats
from forebay.client.structured_logging import StructlogProcessor
from forebay.client.token_refused import TokenRefused

__all__ = ["AsyncClient", "Client", "LoggingHandler", "Rejection", "Stats", "StructlogProcessor", "TokenRefused"]
