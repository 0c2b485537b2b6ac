"""What bench/locustfile.py is made of, beside its users."""
