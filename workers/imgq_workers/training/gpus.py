"""`python -m imgq_workers.training.gpus`: the GPUs, told by a process that may load torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import structlog

from imgq_workers.devices import Gpu, GpusTaken, list_gpus

#: Importing torch and starting CUDA takes seconds.
PROBE_SECONDS = 120
_DRIVER = Path("/dev/nvidiactl")

_log = structlog.get_logger(__name__)


def probe_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that this process may see, without loading torch into it.

    Raises GpusTaken when they cannot be told now: a driver that is busy is no machine without any.
    """
    if not (_DRIVER.exists() or shutil.which("nvidia-smi")):
        return ()
    command = [sys.executable, "-m", "imgq_workers.training.gpus"]
    try:
        told = subprocess.run(  # noqa: S603 - our own module
            command, check=True, capture_output=True, text=True, timeout=PROBE_SECONDS
        ).stdout
        return tuple(Gpu(*each) for each in json.loads(told))
    except (subprocess.SubprocessError, OSError, ValueError, TypeError) as error:
        said = (getattr(error, "stderr", None) or "").strip().rpartition("\n")[2]
        _log.warning("gpus_not_probed", error=str(error), said=said)
        raise GpusTaken from error


if __name__ == "__main__":
    sys.stdout.write(json.dumps([[gpu.device, gpu.uuid] for gpu in list_gpus()]))
