"""Tell whether this container's process does its work: `healthcheck.py api|worker|reconciler`.

The container's engine runs it every now and then; exit status 0 means healthy.
"""

import os
import socket
import sys
import urllib.request

#: A reconciler whose last statement is older than this hangs; rounds are seconds apart.
RECONCILER_SILENCE_SECONDS = 60


def api_answers() -> bool:
    """Tell whether the API is ready; without its database it is not."""
    url = f"http://127.0.0.1:{os.environ.get('IMGQ_PORT', '8765')}/readyz"
    with urllib.request.urlopen(url, timeout=5) as reply:
        return bool(reply.status == 200)


# The imports stay inside, so that asking the API costs a tenth.


def worker_beats() -> bool:
    """Tell whether the worker of this host has shown itself lately."""
    from imgq_db.engine import make_engine
    from imgq_db.settings import load_settings
    from imgq_db.workers import list_workers

    workers = list_workers(make_engine(load_settings(), role="api"))
    return any(worker.host == socket.gethostname() for worker in workers)


def reconciler_works() -> bool:
    """Tell whether the reconciler's session has run a statement lately, seen by Postgres."""
    from sqlalchemy import text

    from imgq_db.engine import make_engine
    from imgq_db.settings import load_settings

    with make_engine(load_settings(), role="api").connect() as connection:
        silence = connection.execute(
            text(
                "SELECT extract(epoch FROM clock_timestamp() - max(query_start))"
                " FROM pg_stat_activity WHERE application_name = 'imgq-reconciler'"
                " AND client_addr = inet_client_addr()"
            )
        ).scalar()
    return silence is not None and silence < RECONCILER_SILENCE_SECONDS


CHECKS = {"api": api_answers, "worker": worker_beats, "reconciler": reconciler_works}

if __name__ == "__main__":
    sys.exit(0 if CHECKS[sys.argv[1]]() else 1)
