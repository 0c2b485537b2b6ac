"""Live tails of streams."""

from forebay.tail.hub import MAX_WAIT_SECONDS, Choice, Hub, Hubs
from forebay.tail.position import ID, MAX_ID_CHARACTERS, Position, parse, written

__all__ = ["ID", "MAX_ID_CHARACTERS", "MAX_WAIT_SECONDS", "Choice", "Hub", "Hubs", "Position", "parse", "written"]
