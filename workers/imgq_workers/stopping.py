"""A worker that was asked to stop ends: in order, or else all the same."""

import faulthandler
import os
import sys
import threading

import structlog

#: The exit status of a worker that had to be ended.
STUCK_STATUS = 70

_log = structlog.get_logger(__name__)


def end_within(seconds: float) -> None:
    """End this process after so long, if it has not ended by itself; return at once.

    Celery's orderly stop waits for its child by way of the queue's connection, and now and then in
    vain. What the child held goes back once its death is known. The log gets what each thread was
    at.
    """
    threading.Thread(target=_end, args=(seconds,), name="ending", daemon=True).start()


def _end(seconds: float) -> None:
    threading.Event().wait(seconds)
    _log.error("did_not_stop_in_time", seconds=seconds)
    faulthandler.dump_traceback(sys.__stderr__ or 2)
    os._exit(STUCK_STATUS)
