"""`python -I guard.py PROGRAM …`: run a program that must not outlive who started it.

Its standard input is a pipe that nobody writes to. When its other end closes, whatever closed it,
the whole process group is killed. It ends as the program ends. Imports nothing of imgq.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

#: Pictures that wait to be labelled go before pictures that are learnt from: of a core that both
#: want these get a quarter.
NICENESS = 5
#: Linux may share the cores by session first; then a niceness counts within its session alone.
AUTOGROUP = Path("/proc/self/autogroup")


def main(argv: list[str]) -> NoReturn:
    """Run the program to its end."""
    # The group's SIGTERM is meant for the program. A handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    os.nice(NICENESS)
    with suppress(OSError):  # it is another system's, or too busy
        AUTOGROUP.write_text(str(NICENESS))
    program = subprocess.Popen(argv, stdin=subprocess.DEVNULL)  # noqa: S603 - as we were told
    threading.Thread(target=_watch, daemon=True).start()
    status = program.wait()
    sys.stdout.flush()
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
