"""A storm: real processes of a whole installation, broken at random, and their ledger counted."""
