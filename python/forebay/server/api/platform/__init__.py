"""The platform API: searching the log."""
