"""Sends `/api/metrics` to WebSockets."""

from forebay.push.hub import Hub

__all__ = ["Hub"]
