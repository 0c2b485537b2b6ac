"""Routes that take events."""
