"""`dying_trainer.py FOLDER train SPEC.json`: the real trainer, which dies at its checkpoints.

Once at each of DEATHS, each at a checkpoint of its own. The trainer knows no failpoints: Python's
audit events tell what it does to files. FOLDER keeps which deaths were died, and from which
checkpoint each attempt went on.
"""

import json
import os
import resource
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

#: By the checkpoint's number: the first bytes of the tensors are written; the tensors are there and
#: the state is not; both are, under the temporary name; all is done but for the word of it.
DEATHS = {2: "tensors", 3: "state", 4: "rename", 5: "said"}
TORN_BYTES = 1000


def die_at_checkpoints(folder: Path) -> None:
    """Watch this process's files from now on."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename") or not isinstance(arguments[0], str | os.PathLike):
            return
        path = Path(arguments[0])
        for number, death in DEATHS.items():
            marker = folder / death
            if _comes(death, number, event, path) and not marker.exists():
                marker.mkdir()
                _die(death)

    sys.addaudithook(watch)


def _comes(death: str, number: int, event: str, path: Path) -> bool:
    fresh = f".{number:06d}.new"
    match death:
        case "tensors" | "state":
            return event == "open" and path.parent.name == fresh and path.stem == death
        case "rename":
            return event == "os.rename" and path.name == fresh
    # Opened to be synchronised, once the checkpoint has its name.
    return event == "open" and path.name == "checkpoints" and (path / f"{number:06d}").exists()


def _die(death: str) -> None:
    if death != "tensors":
        os.kill(os.getpid(), signal.SIGKILL)
    # In the middle of the write that follows: the kernel takes these bytes, and no more.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (TORN_BYTES, TORN_BYTES))


if __name__ == "__main__":
    notes = Path(sys.argv.pop(1))
    resumed = json.loads(Path(sys.argv[2]).read_bytes()).get("resume")
    with (notes / "resumed").open("a") as file:
        file.write(f"{Path(resumed).name if resumed else 'nothing'}\n")
    die_at_checkpoints(notes)
    runpy.run_module("imgq_trainer", run_name="__main__", alter_sys=True)
