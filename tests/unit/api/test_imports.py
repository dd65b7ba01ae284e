"""The API is light: it runs where torch is not installed."""

import subprocess
import sys

HEAVY = "{'torch', 'torchvision', 'timm', 'pyarrow', 'imgq_trainer', 'imgq_workers', 'imgq_cli'}"


def test_serving_imports_nothing_heavy() -> None:
    program = f"import sys, imgq_api.serving; print(sorted({HEAVY} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (found.stdout.strip(), found.stderr) == ("[]", "")
