"""forebay: a durable, partitioned log with an HTTP front, in one process."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay._forebay import Receipt, StreamDescription
    from forebay.embedded.consumer import Consumer, Message
    from forebay.embedded.log import Log, LogOptions, Record, StreamOptions, open
    from forebay.embedded.records import Records
    from forebay.embedded.search import Counts, Hit, Search
    from forebay.errors import ForebayError
    from forebay.processors.function import Function, function
    from forebay.processors.pipeline import Pipeline, pipeline

    __version__: str

__all__ = [
    "Consumer",
    "Counts",
    "ForebayError",
    "Function",
    "Hit",
    "Log",
    "LogOptions",
    "Message",
    "Pipeline",
    "Receipt",
    "Record",
    "Records",
    "Search",
    "StreamDescription",
    "StreamOptions",
    "__version__",
    "function",
    "open",
    "pipeline",
]

_HOMES = {
    "Consumer": "forebay.embedded.consumer",
    "Counts": "forebay.embedded.search",
    "ForebayError": "forebay.errors",
    "Function": "forebay.processors.function",
    "Hit": "forebay.embedded.search",
    "Log": "forebay.embedded.log",
    "LogOptions": "forebay.embedded.log",
    "Message": "forebay.embedded.consumer",
    "Pipeline": "forebay.processors.pipeline",
    "Receipt": "forebay._forebay",
    "Record": "forebay.embedded.log",
    "Records": "forebay.embedded.records",
    "Search": "forebay.embedded.search",
    "StreamDescription": "forebay._forebay",
    "StreamOptions": "forebay.embedded.log",
    "function": "forebay.processors.function",
    "open": "forebay.embedded.log",
    "pipeline": "forebay.processors.pipeline",
}


def __getattr__(name: str) -> object:
    """Imports public names on first use (PEP 562), since `forebay.client` has to work where the engine cannot be
    loaded."""
    if name == "__version__":
        from importlib.metadata import version

        found: object = version("forebay")
    elif name in _HOMES:
        found = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))
