"""How the server and what it depends on stand: probes, and the reputation of sending addresses."""
