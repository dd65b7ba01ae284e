"""`imgq up` in the foreground: start everything, look after it, stop everything."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from imgq_cli.stack.children import Child, ChildSpec
from imgq_cli.stack.errors import ExtraMissing
from imgq_cli.stack.events import Say, recorded
from imgq_cli.stack.plan import child_environment, imgq_children
from imgq_cli.stack.ports import LOOPBACK, kept_port
from imgq_cli.stack.services import Services, services
from imgq_cli.stack.starting import await_children, ensure_api_key, python, run_step
from imgq_cli.stack.state import Status
from imgq_cli.stack.stop_signals import StopSignals
from imgq_cli.stack.supervisor import stop_children, supervise


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the user asked of `imgq up`."""

    home: Path
    workers: int = 1
    #: None: the default port, or a free one if that is taken.
    port: int | None = None


Plan = Callable[[Services, int], Sequence[ChildSpec]]


def run_stack(
    options: UpOptions,
    signals: StopSignals,
    say: Say,
    *,
    on_ready: Callable[[Services], None],
    plan: Plan | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Run the stack until the signals ask to stop. Raises StackError.

    plan: makes the children from the services and the API's port; None: imgq's own.
    """
    if plan is None:
        check_extras()
    with ExitStack() as stack:
        port = stack.enter_context(kept_port(options.port))
        say("Starting Postgres and Valkey …")
        running = stack.enter_context(
            services(
                options.home,
                database_url=environ.get("IMGQ_DATABASE_URL"),
                redis_url=environ.get("IMGQ_REDIS_URL"),
                stop=signals.asked,
            )
        )
        say = recorded(say, running.home.logs / "events.log")
        stack.callback(_say_stopping_servers, running, say)
        if plan is None:
            plan = prepared_plan(options.workers, environ, signals, say)
        children = [
            Child(
                spec,
                log=running.home.logs / f"{spec.name}.log",
                lock_fd=running.lock_fd,
                noted=running.state.put,
            )
            for spec in plan(running, port)
        ]
        stack.callback(stop_children, children, hurry=signals.hurried, say=say)
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
            logs=running.home.logs,
        )
        running.state.update(status=Status.STOPPING)


def prepared_plan(workers: int, environ: Mapping[str, str], signals: StopSignals, say: Say) -> Plan:
    """Return imgq's own plan: migrations and the local key first, then the children."""

    def plan(running: Services, port: int) -> Sequence[ChildSpec]:
        env = child_environment(running, port=port, workers=workers, base=environ)
        key = ensure_api_key(running.home)
        log = running.home.logs / "db.log"
        say("Preparing the database …")
        run_step(
            "imgq_db upgrade",
            python("imgq_db", "upgrade"),
            log=log,
            env=env,
            stop=signals.asked,
        )
        run_step(
            "imgq_db keys ensure",
            python("imgq_db", "keys", "ensure"),
            log=log,
            env=env | {"IMGQ_BOOTSTRAP_KEY": key},
            stop=signals.asked,
        )
        return imgq_children(env, url=base_url(port), key=key, workers=workers)

    return plan


def check_extras() -> None:
    """Raise ExtraMissing unless the parts that a worker needs are installed."""
    missing = [name for name in ("torch", "torchvision", "timm") if find_spec(name) is None]
    if missing:
        raise ExtraMissing(" and ".join(missing))


def check_options(options: UpOptions) -> None:
    """Raise what would stop `imgq up` at once: ExtraMissing, PortTaken."""
    check_extras()
    with kept_port(options.port):
        return


def base_url(port: int) -> str:
    """Return the address of an API on this machine."""
    return f"http://{LOOPBACK}:{port}"


def _say_stopping_servers(running: Services, say: Say) -> None:
    if running.servers:
        say(f"Stopping {' and '.join(server.name for server in running.servers)} …")
