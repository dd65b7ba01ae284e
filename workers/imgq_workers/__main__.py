"""`python -m imgq_workers worker | reconciler | trainer`."""

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from imgq_db.settings import settings_or_exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one process until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m imgq_workers", description=__doc__)
    parser.add_argument("process", choices=["worker", "reconciler", "trainer"])
    parser.add_argument("--name", default=None, help="how logs call this process")
    parsed = parser.parse_args(arguments)
    process, name = parsed.process, parsed.name or parsed.process
    settings = settings_or_exit()
    if process == "reconciler":
        from imgq_workers.reconciler import run_reconciler

        run_reconciler(settings, name=name)
        return 0
    if importlib.util.find_spec("torch") is None:
        sys.stderr.write(
            f"Error: this {process} has no torch to compute with.\n"
            "Try:   pip install 'imgq[worker]'\n"
        )
        return 1
    if process == "trainer":
        from imgq_workers.training.process import run_trainer

        run_trainer(settings, name=name)
        return 0
    from imgq_workers.worker import run_worker

    run_worker(settings, name=name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
