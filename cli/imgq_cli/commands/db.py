"""`imgq db`: the database's tables."""

from __future__ import annotations

import rich_click as click

from imgq_cli.processes import become


@click.group("db")
def command() -> None:
    """Bring the database up to date."""


@command.command("upgrade")
def upgrade() -> None:
    """Create the tables, or bring them to what this version of imgq needs.

    Reads DATABASE_URL. Safe to run from several machines at once, and again.
    """
    become("imgq_db", "upgrade")
