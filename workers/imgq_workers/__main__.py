"""`python -m imgq_workers worker | reconciler`."""

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from imgq_db.settings import settings_or_exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one process until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m imgq_workers", description=__doc__)
    parser.add_argument("process", choices=["worker", "reconciler"])
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
            "Error: this worker has no torch to classify with.\nTry:   pip install 'imgq[worker]'\n"
        )
        return 1
    from imgq_workers.worker import run_worker

    run_worker(settings, name=name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
