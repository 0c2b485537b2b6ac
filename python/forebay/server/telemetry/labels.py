"""The label of what is summed up beyond a bound."""

OTHERS = "(others)"
"""Tokens, streams and groups cannot have this name, since names have no brackets."""
