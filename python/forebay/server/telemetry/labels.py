"""What labels of a bounded number of values have in common."""

OTHERS = "(others)"
"""Those beyond the bound, summed up. Cannot be a name of a token, a stream or a group: they have no brackets."""
