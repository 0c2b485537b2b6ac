"""One module a protocol. Each asks a server one real question, and nothing that changes anything there."""
