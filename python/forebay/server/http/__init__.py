"""The HTTP side: routes, requests, responses and the envelopes of each API family."""
