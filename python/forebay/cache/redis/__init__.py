"""Views in Redis: one server writes them, any number of processes read them."""
