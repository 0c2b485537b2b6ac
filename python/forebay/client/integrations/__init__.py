"""Hand the events of logging libraries to a client."""
