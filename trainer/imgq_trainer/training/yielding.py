"""Cores that are shared by session."""

import os
import threading
from pathlib import Path

#: Linux may share the cores by session first; then a niceness counts within its session alone.
AUTOGROUP = Path("/proc/self/autogroup")
#: Linux takes one such order in a tenth of a second from all who may not command it.
TRIES, AGAIN_SECONDS = 20, 0.1


def yield_as_a_session(autogroup: Path = AUTOGROUP) -> None:
    """Let this process's session yield the cores as the process does, where Linux has that."""
    busy = threading.Event()
    for _ in range(TRIES):
        try:
            with autogroup.open("r+") as file:
                file.write(str(os.nice(0)))
        except BlockingIOError:
            busy.wait(AGAIN_SECONDS)
        except OSError:
            return  # it is another system's, or not ours to say
        else:
            return
