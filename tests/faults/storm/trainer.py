"""The stand-in for the trainer, with epochs that take a moment: faults hit them in the middle."""

import errno
import json
import runpy
import sys
import time
from pathlib import Path
from typing import Final, NoReturn, TextIO

STANDIN: Final = Path(__file__).parents[2] / "integration" / "training" / "standin.py"
EPOCH_SECONDS: Final = 0.25


class SlowOutput:
    """Passes on what is written, a checkpoint's line after a pause."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, text: str) -> int:
        if '"event": "checkpoint"' in text:
            time.sleep(EPOCH_SECONDS)
        return self._output.write(text)

    def flush(self) -> None:
        self._output.flush()


def say_disk_full() -> NoReturn:
    """End as the trainer does when there is no room for what it writes."""
    told = {"slug": "disk-full", "title": "The disk is full", "detail": "No room.", "hint": ""}
    sys.stdout.write(json.dumps({"event": "failed", **told}) + "\n")
    sys.stdout.flush()
    sys.exit(1)


if __name__ == "__main__":
    sys.stdout = SlowOutput(sys.stdout)
    try:
        runpy.run_path(str(STANDIN), run_name="__main__")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        say_disk_full()
