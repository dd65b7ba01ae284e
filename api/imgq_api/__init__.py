"""REST over the shared state: what clients send and read."""
