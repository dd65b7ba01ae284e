"""The bench at its smallest: that it still measures everything, not how fast that is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(400)  # 20 s of work, on a machine that may have much else to do
REPOSITORY = Path(__file__).parent.parent.parent
MEASURED = {
    ("imgq lite0 auto", 24),
    ("roofline lite0 auto", 24),
    ("six photos, submit to labels", 6),
    ("six photos, submit to exit", 6),
}


@pytest.fixture(scope="module")
def results(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a short run has left its results."""
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "bench", "--quick", "--running-stack", "--folder", str(folder)]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=stack.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_quick_run_measures_imgq_and_the_roofline_and_leaves_nothing_out(results: Path) -> None:
    said = json.loads((results / "results.json").read_text())

    assert {(sample["what"], sample["images"]) for sample in said["samples"]} == MEASURED
    assert all(sample["seconds"] > 0 < sample["cpu_seconds"] for sample in said["samples"])
    assert said["skipped"] == {}


def test_a_quick_run_holds_the_labels_against_plain_torch(results: Path) -> None:
    labels = json.loads((results / "results.json").read_text())["facts"]["labels"]
    everything, *sure = labels["exact"]

    assert everything["pictures"] == 24
    assert sure and all(0 < band["equal"] == band["pictures"] for band in sure)


def test_a_quick_run_writes_its_tables(results: Path) -> None:
    lines = (results / "results.md").read_text().splitlines()

    assert [line for line in lines if line.startswith("### ")] == [
        "### imgq beside the roofline",
        "### More",
        "### Labels beside Pillow and torch in fp32",
    ]
