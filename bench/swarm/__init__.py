"""The parts of bench/locustfile.py beside its users."""
