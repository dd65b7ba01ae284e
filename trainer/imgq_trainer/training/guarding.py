"""The test split while a network is trained: if it changes, hours need not be spent first."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from imgq_trainer.crew import Crew
from imgq_trainer.datasets.values import Dataset, Split
from imgq_trainer.datasets.verifying import verify_dataset
from imgq_trainer.training.pictures import Stop

#: its files are read again at most so often, at the end of an epoch
GUARD_SECONDS = 60.0


def guard_test_split(root: Path, dataset: Dataset, crew: Crew, stop: Stop) -> Callable[[], None]:
    """Return what looks now and then whether the test split is still as it was scanned.

    The other splits need no guard: their pictures are checked when they are decoded. What is
    returned raises DatasetChanged, Stopped, RootUnavailable.
    """
    tested = tuple(each for each in dataset.examples if each.split is Split.TEST)
    split = replace(dataset, examples=tested)
    looked_at = time.monotonic()

    def look() -> None:
        nonlocal looked_at
        if time.monotonic() - looked_at >= GUARD_SECONDS:
            verify_dataset(root, split, crew=crew, stop=stop)
            looked_at = time.monotonic()

    return look
