"""forebay: a durable, partitioned log with an HTTP front, in one process."""

from importlib.metadata import version

from forebay._forebay import Receipt, StreamDescription
from forebay.consumer import Consumer, Message
from forebay.errors import ForebayError
from forebay.log import Log, Record, open
from forebay.records import Records

__version__ = version("forebay")

__all__ = [
    "Consumer",
    "ForebayError",
    "Log",
    "Message",
    "Receipt",
    "Record",
    "Records",
    "StreamDescription",
    "__version__",
    "open",
]
