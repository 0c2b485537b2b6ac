"""forebay: a durable, partitioned log with an HTTP front, in one process."""

from importlib.metadata import version

from forebay._forebay import Receipt, StreamDescription
from forebay.errors import ForebayError
from forebay.log import Log, Record, Records, open

__version__ = version("forebay")

__all__ = ["ForebayError", "Log", "Receipt", "Record", "Records", "StreamDescription", "__version__", "open"]
