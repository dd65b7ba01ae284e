"""How a spawned pool child logs. Celery imports this module there by `include`."""

import os

from celery import signals

from imgq_db.logs import configure_logs
from imgq_db.settings import load_settings
from imgq_workers.context import WORKER_NAME


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _keep_our_logs(**_: object) -> None:
    """Stop Celery from setting up logging: parent and child both do it themselves."""
    configure_logs(load_settings(), process=os.environ.get(WORKER_NAME, "worker"))
