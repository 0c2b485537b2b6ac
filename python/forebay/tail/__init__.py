"""Live tails of streams."""

from forebay.tail.hub import MAX_WAIT_SECONDS, Choice, Hub, Hubs
from forebay.tail.position import Position, parse, written

__all__ = ["MAX_WAIT_SECONDS", "Choice", "Hub", "Hubs", "Position", "parse", "written"]
