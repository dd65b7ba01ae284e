"""`imgq trainer`: become a supervisor of trainings."""

from __future__ import annotations

import rich_click as click

from imgq_cli.processes import become, require_worker_extra


@click.command("trainer")
@click.option("--name", metavar="N", help="The trainer's name in logs. Default: trainer.")
@click.option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N. Default: auto.")
@click.option("--torch-threads", type=click.IntRange(1), metavar="N",
              help="Default: the machine's cores.")  # fmt: skip
def command(name: str | None, **flags: object) -> None:
    """Run a trainer.

    It takes train and evaluate jobs, one at a time, and needs what a worker needs. SIGTERM makes
    its training write a checkpoint; another trainer goes on from there.
    """
    require_worker_extra()
    become("imgq_workers", "trainer", *(("--name", name) if name else ()), flags=flags)
