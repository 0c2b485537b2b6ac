"""The health checks."""
