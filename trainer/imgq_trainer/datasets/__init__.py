"""Labelled folders into datasets: scanned once, cleared of leaks, split, and written down."""
