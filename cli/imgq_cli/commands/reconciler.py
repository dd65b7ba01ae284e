"""`imgq reconciler`: become a reconciler."""

from __future__ import annotations

import rich_click as click

from imgq_cli.processes import become


@click.command("reconciler")
def command() -> None:
    """Run the reconciler.

    It frees the work of workers that died, rings again, and closes jobs. Any number may run.
    """
    become("imgq_workers", "reconciler")
