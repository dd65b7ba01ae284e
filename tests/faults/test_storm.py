"""A short storm of a fixed seed."""

import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from tests.faults.storm.plan import Kind, make_plan

REPOSITORY = Path(__file__).parents[2]
FAULTS = 30
LAST_LINE = re.compile(r"faults (\d+) · pictures (\d+) · lost (\d+) · doubled (\d+) · wrong (\d+)")


@pytest.mark.timeout(240)
def test_a_short_storm_loses_doubles_and_mislabels_nothing() -> None:
    words = f"--small --pace 2 --seed 7 --faults {FAULTS}"
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.storm", *words.split()],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    last = LAST_LINE.fullmatch(done.stdout.rstrip().rpartition("\n")[2])
    assert done.returncode == 0 and last is not None, done.stdout[-4000:] + done.stderr[-4000:]
    faults, pictures, *harm = map(int, last.groups())
    assert faults >= FAULTS and pictures > 600 and harm == [0, 0, 0]


def test_a_seed_is_a_plan() -> None:
    first, again, other = (list(islice(make_plan(seed), 2000)) for seed in (1, 1, 2))
    assert first == again != other
    assert {fault.kind for fault in first} == set(Kind)
