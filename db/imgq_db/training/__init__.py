"""Train and evaluate jobs in the shared state: leases, events, outcomes, and what is kept."""
