"""Tell whether this container's process does its work: `healthcheck.py api|worker|reconciler`.

The container's engine runs it every now and then; exit status 0 means healthy.
"""

import socket
import sys
import urllib.request

from sqlalchemy import Engine, text

from imgq_db.engine import make_engine
from imgq_db.settings import Settings, load_settings
from imgq_db.workers import list_workers

#: A reconciler whose last statement is older than this hangs; rounds are seconds apart.
RECONCILER_SILENCE_SECONDS = 60


def api_answers(settings: Settings) -> bool:
    """Tell whether the API is ready; without its database it is not."""
    url = f"http://127.0.0.1:{settings.port}/readyz"
    with urllib.request.urlopen(url, timeout=5) as reply:
        return bool(reply.status == 200)


def worker_beats(engine: Engine) -> bool:
    """Tell whether the worker of this host has shown itself lately."""
    host = socket.gethostname()
    return any(worker.host == host for worker in list_workers(engine))


def reconciler_works(engine: Engine) -> bool:
    """Tell whether the reconciler's session has run a statement lately, seen by Postgres."""
    with engine.connect() as connection:
        silence = connection.execute(
            text(
                "SELECT extract(epoch FROM clock_timestamp() - max(query_start))"
                " FROM pg_stat_activity WHERE application_name = 'imgq-reconciler'"
                " AND client_addr = inet_client_addr()"
            )
        ).scalar()
    return silence is not None and silence < RECONCILER_SILENCE_SECONDS


def main() -> int:
    """Check the process that the argument names."""
    settings = load_settings()
    process = sys.argv[1]
    if process == "api":
        return 0 if api_answers(settings) else 1
    engine = make_engine(settings, role="api")
    checks = {"worker": worker_beats, "reconciler": reconciler_works}
    return 0 if checks[process](engine) else 1


if __name__ == "__main__":
    sys.exit(main())
