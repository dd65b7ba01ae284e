"""Celery tasks and the reconciler: glue between the shared state and the model side."""
