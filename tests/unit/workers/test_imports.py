"""The parts of a worker that must start where torch is not installed."""

import subprocess
import sys

import pytest

WITHOUT_TORCH = (
    "import sys\n"
    "for name in ('torch', 'torchvision', 'timm', 'safetensors', 'numpy', 'PIL'):\n"
    "    sys.modules[name] = None\n"
    "import {module}\n"
)


@pytest.mark.parametrize(
    "module",
    ["tasks", "worker", "reconciler", "__main__", "app", "training.process", "training.tasks"],
)
def test_it_is_imported_without_torch(module: str) -> None:
    code = WITHOUT_TORCH.format(module=f"imgq_workers.{module}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_tasks_does_not_load_torch() -> None:
    code = (
        "import sys, imgq_workers.tasks, imgq_workers.worker, imgq_workers.reconciler\n"
        "import imgq_workers.training.process, imgq_workers.training.tasks\n"
        "print(sorted({'torch', 'timm', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")
