"""Routes of streams, their records and the groups that consume them."""
