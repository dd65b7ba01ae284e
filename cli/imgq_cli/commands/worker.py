"""`imgq worker`: become a worker."""

from __future__ import annotations

import rich_click as click

from imgq_cli.processes import become, require_worker_extra


@click.command("worker")
@click.option("--name", metavar="N", help="How its logs call it. Default: worker.")
@click.option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N. Default: auto.")
@click.option("--batch-size", type=click.IntRange(1, 1024), metavar="N",
              help="Files that a thread takes at once, at most. Default: 32.")  # fmt: skip
@click.option("--decode-threads", type=click.IntRange(1), metavar="N",
              help="Threads that each read, decode and compute. Default: "
              "--torch-threads.")  # fmt: skip
@click.option("--torch-threads", type=click.IntRange(1), metavar="N",
              help="Cores that networks are computed on. Default: all that there are.")  # fmt: skip
def command(name: str | None, **flags: object) -> None:
    """Run a worker.

    It needs the same DATABASE_URL, REDIS_URL and IMGQ_DATA_DIR as the server, and the folders
    that jobs name. SIGTERM makes it give back what it holds, for another worker to do, and leave.
    """
    require_worker_extra()
    become("imgq_workers", "worker", *(("--name", name) if name else ()), flags=flags)
