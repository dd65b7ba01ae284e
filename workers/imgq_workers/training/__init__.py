"""Supervising trainings: a process without torch that leases, spawns, listens and registers."""
