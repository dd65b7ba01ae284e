"""Where the server is and which key it takes: flag, environment, files or the local stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imgq_cli.errors import CliError, ServerUnreachable, UsageFault
from imgq_cli.exits import Exit

if TYPE_CHECKING:
    from imgq_cli.stack.state import State
    from imgq_db.settings import Settings

STATE_FILE = "state.json"


@dataclass(frozen=True, slots=True)
class Target:
    """A server. local: it is this machine's own stack, which reads the same disk."""

    url: str
    key: str | None = field(repr=False)
    local: bool


def read_settings(server: object = None, **flags: object) -> Settings:
    """Return the settings; a bad one is told in words.

    flags: others that the command line gave; None means not given.
    """
    from pydantic import ValidationError

    from imgq_db.settings import SettingsFileInvalid, load_settings

    try:
        return load_settings(server=server, **flags)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageFault(
            f"The setting {name} cannot be used: {first['msg']}.", hint="imgq config show --origin"
        ) from error
    except SettingsFileInvalid as error:
        raise UsageFault(str(error), hint="imgq config show --help tells what is read") from error
    except (ValueError, OSError) as error:
        raise UsageFault(f"The settings cannot be read: {error}.") from error


def find_target(server: str | None) -> Target:
    """Return the server to talk to.

    server: the --server flag. Raises ServerUnreachable if no server is known.
    """
    settings = read_settings(server)
    stack = running_stack(settings.home)
    own_url = stack.url.rstrip("/") if stack and stack.url else None
    url = _checked_url(settings.server) if settings.server else own_url
    if url is None:
        raise _no_server(stack)
    local = own_url is not None and _same_server(url, own_url)
    given = settings.api_key.get_secret_value().strip() if settings.api_key else ""
    if given:
        return Target(url, given, local)
    # The stack's key goes to the stack only, never to another server.
    key_file = stack.key_file if stack and local else None
    return Target(url, _stack_key(Path(key_file)) if key_file else None, local)


def _no_server(stack: State | None) -> ServerUnreachable:
    if stack is not None:
        return ServerUnreachable("The local stack is still starting.", hint="again in a moment")
    return ServerUnreachable(
        "There is no server: none is configured and no local stack runs.", hint="imgq up"
    )


def running_stack(home: Path) -> State | None:
    """Return the local stack if it is up and ours to read."""
    from imgq_cli.stack.state import running_state

    try:
        return running_state(home / STATE_FILE)
    except PermissionError:
        return None


def _stack_key(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except OSError as error:
        raise CliError(
            f"The local stack's key cannot be read: {error.strerror}: {file}.",
            hint="run imgq as the user who ran imgq up, or set IMGQ_API_KEY",
            exit_code=Exit.AUTH,
        ) from error


def _checked_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        usable = False
    if not usable or not parts.hostname:
        raise UsageFault(
            f"The server {text!r} is not a URL.", hint="--server http://127.0.0.1:8765"
        )
    return text.rstrip("/")


def _same_server(one: str, other: str) -> bool:
    def place(url: str) -> tuple[str, str, int | None]:
        parts = urlsplit(url)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
        return parts.scheme, host, parts.port

    return place(one) == place(other)
