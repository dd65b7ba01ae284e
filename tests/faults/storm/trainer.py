"""The stand-in for the trainer, with epochs that take a moment: faults hit them in the middle."""

import runpy
import sys
import time
from pathlib import Path
from typing import Final, TextIO

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


if __name__ == "__main__":
    sys.stdout = SlowOutput(sys.stdout)
    runpy.run_path(str(STANDIN), run_name="__main__")
