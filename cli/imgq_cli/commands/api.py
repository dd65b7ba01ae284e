"""`imgq api`: become the REST server."""

from __future__ import annotations

import rich_click as click

from imgq_cli.processes import become


@click.command("api")
@click.option("--host", metavar="ADDRESS", help="Address to listen on. Default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(1, 65535), metavar="P", help="Default: 8765.")
@click.option("--insecure", is_flag=True, default=None,
              help="Ask for no keys. Only on a loopback address.")  # fmt: skip
def command(host: str | None, port: int | None, insecure: bool | None) -> None:
    """Run the REST server.

    It needs a database that `imgq db upgrade` has prepared (DATABASE_URL), and rings workers
    through Redis (REDIS_URL).
    """
    become("imgq_api", flags={"host": host, "port": port, "insecure": insecure})
