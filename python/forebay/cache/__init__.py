"""Analytics views and where they are kept: in this process, or in Redis."""
