"""The `imgq` command: an HTTP client, terminal rendering and the local stack."""
