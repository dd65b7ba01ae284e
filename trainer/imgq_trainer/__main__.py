"""`python -m imgq_trainer train|evaluate|compare|export SPEC.json`: JSON events, one a line.

Exit: 0 after `done`, 1 after `failed`, 143 when SIGTERM ended it, 2 for wrong arguments. What
else may go wrong is a traceback on stderr, after a `failed` that says so. A training in several
processes starts them, and ends as they do: by a signal if one of them did.
"""

import errno
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from imgq_trainer.training.endings import LOST, STOPPED

if TYPE_CHECKING:
    from imgq_trainer.training.events import Events
    from imgq_trainer.training.seats import Seat
    from imgq_trainer.training.spec import AnySpec, TrainSpec

KINDS = ("train", "evaluate", "compare", "export")


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
    from imgq_trainer.training.errors import DiskFull, ProcessLost, SpecInvalid, Unexpected
    from imgq_trainer.training.events import Events
    from imgq_trainer.training.spec import read_spec

    # Whatever a library prints must not come between the events.
    events = Events(sys.stdout)
    sys.stdout = sys.stderr
    try:
        spec = read_spec(path)
        if spec.kind != kind:
            raise SpecInvalid(path, f"its kind is {spec.kind!r}, not {kind!r}")
        return _do(spec, path, events, told_to_stop)
    except Stopped:
        return STOPPED
    except ProcessLost as error:
        sys.stderr.write(f"{error}\n")
        return LOST
    except TrainerError as error:
        events.failed(error)
        return 1
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            events.failed(DiskFull(error))
            return 1
        events.failed(Unexpected(error))
        raise


def _do(spec: "AnySpec", path: Path, events: "Events", told_to_stop: threading.Event) -> int:
    """Imports what the kind needs alone: torch's launcher needs no network of ours."""
    from imgq_trainer.training.spec import CompareSpec, EvaluateSpec, TrainSpec

    if isinstance(spec, TrainSpec):
        return _train(spec, path, events, told_to_stop)
    if isinstance(spec, EvaluateSpec):
        from imgq_trainer.training.assessing import run_evaluation

        run_evaluation(spec, events, told_to_stop.is_set)
    elif isinstance(spec, CompareSpec):
        from imgq_trainer.training.challenging import run_comparison

        run_comparison(spec, events, told_to_stop.is_set)
    else:
        from imgq_trainer.training.handing_out import run_export

        run_export(spec, events)
    return 0


def _train(spec: "TrainSpec", path: Path, events: "Events", told_to_stop: threading.Event) -> int:
    from imgq_trainer.training.seats import find_seat

    seat = find_seat(os.environ)
    if spec.processes > 1 and seat is None:
        from imgq_trainer.training.launching import launch

        launch(path, spec, told_to_stop.is_set)
    from imgq_trainer.training.yielding import yield_as_a_session

    yield_as_a_session()  # each of several has a session; one may have been refused at its start
    if seat is not None:
        _end_with_launcher()
    if seat is not None and seat.rank:
        return _lend_hand(spec, seat)
    from imgq_trainer.training.running import run_training

    run_training(spec, events, told_to_stop.is_set, seat)
    return 0


def _lend_hand(spec: "TrainSpec", seat: "Seat") -> int:
    """What goes wrong in a hand is a traceback here, and the leader's to say."""
    from imgq_trainer.training.errors import ProcessLost
    from imgq_trainer.training.hands import lend_hand

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until it has joined, nothing is lost with it
    os.dup2(sys.stderr.fileno(), 1)  # events are the leader's alone, and so is standard output
    try:
        lend_hand(spec, seat)
    except ProcessLost:
        return LOST  # the leader has ended, and said why if it could
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _end_with_launcher() -> None:
    from imgq_trainer.orphans import end_with_parent
    from imgq_trainer.training.seats import LAUNCHER

    end_with_parent()
    if os.getppid() != int(os.environ[LAUNCHER]):  # it ended before that
        os._exit(LOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
