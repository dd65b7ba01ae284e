"""The local stack: real Postgres and Valkey, the API and the workers on one machine."""
