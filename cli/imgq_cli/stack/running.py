"""`imgq up` in the foreground: start everything, look after it, stop everything."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from imgq_cli.stack.children import Child, ChildSpec
from imgq_cli.stack.errors import AlreadyUp, ExtraMissing
from imgq_cli.stack.events import Say, recorded
from imgq_cli.stack.home import explained
from imgq_cli.stack.plan import child_environment, imgq_children
from imgq_cli.stack.ports import DEFAULT_PORT, LOOPBACK, kept_port
from imgq_cli.stack.services import Services, services
from imgq_cli.stack.starting import await_children, ensure_api_key, python, run_step
from imgq_cli.stack.state import Status, running_state
from imgq_cli.stack.stop_signals import StopSignals
from imgq_cli.stack.supervisor import stop_children, supervise


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the user asked of `imgq up`."""

    home: Path
    workers: int = 1
    #: None: the default port, or a free one if that is taken.
    port: int | None = None


#: Makes the children from the services and the API's port.
Plan = Callable[[Services, int, Say], Sequence[ChildSpec]]


def run_stack(
    options: UpOptions,
    signals: StopSignals,
    say: Say,
    *,
    on_ready: Callable[[Services], None],
    plan: Plan | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Run the stack until the signals ask to stop. plan: None for imgq's own children.

    Raises StackError; whatever was started is stopped again then too.
    """
    if plan is None:
        check_extras()
        plan = imgq_plan(options.workers, environ, signals)
    _refuse_a_second(options.home)
    with explained(options.home), kept_port(options.port) as port:
        if options.port is None and port != DEFAULT_PORT:
            say(f"Port {DEFAULT_PORT} is in use: the API takes {port}.")
        say("Starting Postgres and Valkey …")
        with services(
            options.home,
            database_url=environ.get("IMGQ_DATABASE_URL"),
            redis_url=environ.get("IMGQ_REDIS_URL"),
            stop=signals.asked,
        ) as running:
            heard = recorded(say, running.home.logs / "events.log")
            try:
                specs = plan(running, port, heard)
                _run_children(running, specs, signals, heard, port=port, on_ready=on_ready)
            finally:
                if running.servers:
                    heard(f"Stopping {' and '.join(server.name for server in running.servers)} …")


def imgq_plan(workers: int, environ: Mapping[str, str], signals: StopSignals) -> Plan:
    """Return imgq's own plan: migrations and the local key first, then the children."""

    def plan(running: Services, port: int, say: Say) -> Sequence[ChildSpec]:
        env = child_environment(running, port=port, workers=workers, base=environ)
        key = ensure_api_key(running.home)
        say("Preparing the database …")
        for name, arguments, extra in (
            ("imgq_db upgrade", ("upgrade",), {}),
            ("imgq_db keys ensure", ("keys", "ensure"), {"IMGQ_BOOTSTRAP_KEY": key}),
        ):
            run_step(
                name,
                python("imgq_db", *arguments),
                log=running.home.logs / "db.log",
                env=env | extra,
                stop=signals.asked,
            )
        return imgq_children(env, url=base_url(port), key=key, workers=workers)

    return plan


def check_options(options: UpOptions) -> None:
    """Raise what would stop `imgq up` at once: ExtraMissing, PortTaken."""
    check_extras()
    with kept_port(options.port):
        return


def check_extras() -> None:
    """Raise ExtraMissing unless the parts that a worker needs are installed."""
    missing = [name for name in ("torch", "torchvision", "timm") if find_spec(name) is None]
    if missing:
        raise ExtraMissing(" and ".join(missing))


def base_url(port: int) -> str:
    """Return the address of an API on this machine."""
    return f"http://{LOOPBACK}:{port}"


def _refuse_a_second(folder: Path) -> None:
    state = running_state(folder / "state.json")
    if state:
        raise AlreadyUp(folder, state.url, state.supervisor.pid if state.supervisor else None)


def _run_children(
    running: Services,
    specs: Sequence[ChildSpec],
    signals: StopSignals,
    say: Say,
    *,
    port: int,
    on_ready: Callable[[Services], None],
) -> None:
    logs = running.home.logs
    children = [
        Child(
            spec,
            log=logs / f"{spec.name}.log",
            lock_fd=running.lock_fd,
            noted=running.state.put,
        )
        for spec in specs
    ]
    try:
        say(f"Starting {', '.join(child.name for child in children)} …")
        for child in children:
            child.start()
        await_children(children, stop=signals.asked)
        running.state.update(
            status=Status.READY,
            version=version("imgq"),
            url=base_url(port),
            key_file=str(running.home.api_key),
        )
        on_ready(running)
        supervise(
            (*running.servers, *children),
            stop=signals.asked,
            say=say,
            logs=logs,
            save=running.state.save,
        )
        running.state.note(status=Status.STOPPING)
    finally:
        stop_children(children, hurry=signals.hurried, say=say)
