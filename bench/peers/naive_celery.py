"""A naive Celery worker, one task a picture: Celery's defaults, a process for each core.

NAIVE_URL: a Redis for its messages and results. OMP_NUM_THREADS as it comes, or 1 to tame it.
"""

import os
import subprocess
import sys
from pathlib import Path

from bench.peers.steady import pictures_in, read_arguments, report_difference

PATIENCE_SECONDS = 300


def main() -> None:
    """Label both folders by one worker."""
    asked = read_arguments()
    os.environ["NAIVE_WEIGHTS"] = str(asked.weights)
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "bench.peers.naive_tasks", "worker"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        report_difference(label, asked)
    finally:
        worker.terminate()
        worker.wait()


def label(folder: Path) -> int:
    """Return how many pictures of a folder were labelled."""
    from celery import group

    from bench.peers.naive_tasks import classify

    tasks = group(classify.s(path) for path in pictures_in(folder))
    return len(tasks().get(timeout=PATIENCE_SECONDS))


if __name__ == "__main__":
    main()
