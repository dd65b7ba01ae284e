"""`python -m imgq_trainer train|evaluate|compare|export SPEC.json`: JSON events, one a line.

Exit: 0 after `done`, 1 after `failed`, 143 when SIGTERM ended it, 2 for wrong arguments. What
else may go wrong is a traceback on stderr, after a `failed` that says so.
"""

import errno
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

KINDS = ("train", "evaluate", "compare", "export")
STOPPED = 128 + signal.SIGTERM


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in KINDS:
        sys.stderr.write(
            "usage: python -m imgq_trainer {train|evaluate|compare|export} SPEC.json\n"
        )
        return 2
    told_to_stop = threading.Event()

    def on_term(number: int, frame: FrameType | None) -> None:
        told_to_stop.set()

    signal.signal(signal.SIGTERM, on_term)  # before imports that take seconds
    # torch reads it when it is imported. Threads that spin while they wait starve whoever shares
    # the cores, and then each other: on 2 busy cores a step took 3 to 10 times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return _run(arguments[0], Path(arguments[1]), told_to_stop)


def _run(kind: str, path: Path, told_to_stop: threading.Event) -> int:
    from imgq_trainer.errors import Stopped, TrainerError
    from imgq_trainer.training.assessing import run_evaluation
    from imgq_trainer.training.challenging import run_comparison
    from imgq_trainer.training.errors import DiskFull, SpecInvalid, Unexpected
    from imgq_trainer.training.events import Events
    from imgq_trainer.training.handing_out import run_export
    from imgq_trainer.training.running import run_training
    from imgq_trainer.training.spec import CompareSpec, EvaluateSpec, TrainSpec, read_spec

    # Whatever a library prints must not come between the events.
    events = Events(sys.stdout)
    sys.stdout = sys.stderr
    try:
        spec = read_spec(path)
        if spec.kind != kind:
            raise SpecInvalid(path, f"its kind is {spec.kind!r}, not {kind!r}")
        if isinstance(spec, TrainSpec):
            run_training(spec, events, told_to_stop.is_set)
        elif isinstance(spec, EvaluateSpec):
            run_evaluation(spec, events, told_to_stop.is_set)
        elif isinstance(spec, CompareSpec):
            run_comparison(spec, events, told_to_stop.is_set)
        else:
            run_export(spec, events)
    except Stopped:
        return STOPPED
    except TrainerError as error:
        events.failed(error)
        return 1
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            events.failed(DiskFull(error))
            return 1
        events.failed(Unexpected(error))
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
