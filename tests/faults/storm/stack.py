"""A whole installation for a storm: servers, proxies before them, and all processes of imgq."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine
from tests.faults.storm.disks import Disk, small_disk
from tests.faults.storm.members import Member, cared_for
from tests.faults.storm.memory import MemoryGroup, memory_groups
from tests.faults.storm.plan import Kind
from tests.faults.storm.points import Point, failpoint_environment, make_points
from tests.faults.storm.proxy import Network
from tests.faults.storm.witness import watch_commits
from tests.faults.storm.worker import LABELS, OWNERS

from imgq_cli.stack.plan import child_environment
from imgq_cli.stack.ports import free_port
from imgq_cli.stack.probe import is_ready, list_workers
from imgq_cli.stack.servers import Server
from imgq_cli.stack.services import Services, services
from imgq_db.engine import make_engine
from imgq_db.migrate import upgrade
from imgq_db.models import NewVersion, complete_builtin
from imgq_db.settings import Settings
from imgq_workers.training.context import TRAINER

REPOSITORY = Path(__file__).parents[3]
START_SECONDS = 90
LEASE_SECONDS = 2.0
TRAIN_LEASE_SECONDS = 3.0
#: Short, so that what died is mended soon; all relations between them are those of the defaults.
SMALL: Mapping[str, str] = {
    "IMGQ_INSECURE": "true",
    "IMGQ_LOG_JSON": "true",
    "IMGQ_DEVICE": "cpu",
    "IMGQ_LEASE_SECONDS": str(LEASE_SECONDS),
    "IMGQ_BEAT_SECONDS": "0.4",
    "IMGQ_POLL_SECONDS": "0.2",
    "IMGQ_RECONCILE_SECONDS": "0.25",
    "IMGQ_LOOP_SECONDS": "3",
    "IMGQ_TRAIN_LEASE_SECONDS": str(TRAIN_LEASE_SECONDS),
    "IMGQ_TRAIN_BEAT_SECONDS": "0.5",
    "IMGQ_TRAIN_STOP_SECONDS": "2",
    # Each attempt may be killed before its first checkpoint: that is no trainer's fault here.
    "IMGQ_TRAIN_ATTEMPTS": "1000",
    # Less than a worker is stopped for: the time that it does not run must not count.
    "IMGQ_DECODE_SECONDS": "3",
    "IMGQ_CHUNK_SIZE": "64",
    "IMGQ_BATCH_SIZE": "8",
    "IMGQ_DECODE_THREADS": "2",
    "OMP_NUM_THREADS": "1",
}
ROLES: Mapping[str, str] = {
    "api": "api",
    "reconciler-1": "reconciler",
    "reconciler-2": "reconciler",
    "trainer": "trainer",
}


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs. settings, engine, queue: the storm's own way to the servers, past the proxies."""

    url: str
    settings: Settings
    engine: Engine
    queue: redis.Redis
    members: Mapping[str, Member]
    servers: Mapping[str, Server]
    network: Network
    points: tuple[Point, ...]
    owners: Path
    logs: Path
    #: all that the servers and processes write lies there; None: on the machine's disk
    disk: Disk | None
    #: of the workers; none: they may take what there is
    groups: Mapping[str, MemoryGroup]

    @property
    def lacks(self) -> Mapping[Kind, str]:
        """Return the faults that this machine does not let us make, with the reason."""
        no_group = "" if self.groups else "no control group of memory may be made here"
        no_disk = "" if self.disk else "no tmpfs may be mounted here"
        reasons = {
            Kind.GLUTTON: no_group,
            Kind.OUT_OF_MEMORY: no_group,
            Kind.DISK_FULL: no_disk,
        }
        return {kind: reason for kind, reason in reasons.items() if reason}

    def memory_kills(self) -> int:
        """Return how many processes of workers the kernel has killed for want of memory."""
        return sum(group.kills() for group in self.groups.values())

    def of_role(self, role: str) -> list[Member]:
        """Return the processes of a role that run now."""
        return [each for each in self.members.values() if each.role == role and each.runs()]

    def tend(self) -> None:
        """Start again what has died, as a supervisor does."""
        for server in self.servers.values():
            with contextlib.suppress(OSError):  # a full disk: the next look tries again
                server.restart()
        for member in self.members.values():
            with contextlib.suppress(OSError):
                member.tend()

    def mend(self) -> None:
        """Take back everything that lasts."""
        if self.disk is not None:
            self.disk.free()
        self.network.calm_all()
        for point in self.points:
            point.disarm()
        for member in self.members.values():
            member.signal_all(signal.SIGCONT)

    def at_work(self) -> list[Member]:
        """Return the workers whose child has begun to work since something happened to it."""
        return [each for each in self.of_role("worker") if self._began(each) > each.disturbed_at]

    def _began(self, worker: Member) -> float:
        note = self.owners / worker.name
        return note.stat().st_mtime if note.exists() else 0.0

    def owners_of(self, name: str) -> list[str]:
        """Return the ids under which the children of a worker have claimed."""
        noted = (file.name.partition("=") for file in self.owners.iterdir())
        return [owner for worker, _, owner in noted if worker == name and owner]


@contextlib.contextmanager
def running_stack(home: Path, *, workers: int, keep: list[bool]) -> Iterator[Stack]:
    """Run everything, ready to work, until the block ends; leave no process behind.

    keep: see `small_disk`.
    """
    for name in ("owners", "points"):
        (home / name).mkdir(parents=True)
    names = [f"worker-{number + 1}" for number in range(workers)]
    with (
        small_disk(home / "home", keep=keep) as disk,
        memory_groups(names) as groups,
        services(home / "home") as running,
        Network().running() as network,
    ):
        settings, engine = _prepare(running)
        roles = dict(ROLES) | dict.fromkeys(names, "worker")
        points = make_points(home / "points", roles)
        port = free_port()
        env = _environment(running, port) | {OWNERS: str(home / "owners")}
        servers = {server.name: server for server in running.servers}
        members = {
            name: Member(
                name,
                role,
                _command(name, role),
                env
                | _through_proxies(running, servers, network, name, role)
                | failpoint_environment(points, name),
                running.home.logs / f"{name}.log",
                groups.get(name),
            )
            for name, role in roles.items()
        }
        url = f"http://127.0.0.1:{port}"
        queue = redis.Redis.from_url(
            running.redis_url, socket_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        stack = Stack(
            url=url,
            settings=settings,
            engine=engine,
            queue=queue,
            members=members,
            servers=servers,
            network=network,
            points=points,
            owners=home / "owners",
            logs=running.home.logs,
            disk=disk,
            groups=groups,
        )
        with cared_for(members, env["IMGQ_HOME"]), contextlib.closing(queue):
            _await(lambda: is_ready(url), stack)
            _await(lambda: len(list_workers(url, None)) > workers, stack)  # and the trainer
            yield stack
        engine.dispose()


def wait_until(ready: Callable[[], bool], *, seconds: float, tend: Callable[[], None]) -> bool:
    """Wait for a condition, starting again meanwhile what dies; False: it did not come."""
    ends = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > ends:
            return False
        tend()
        time.sleep(0.02)
    return True


def _await(ready: Callable[[], bool], stack: Stack) -> None:
    if not wait_until(ready, seconds=START_SECONDS, tend=stack.tend):
        raise TimeoutError(f"a process of the storm did not start: see {stack.logs}")


def _prepare(running: Services) -> tuple[Settings, Engine]:
    settings = Settings(
        database_url=running.database_url,
        redis_url=running.redis_url,
        home=running.home.folder,
        data_dir=running.home.data,
        local_files=True,
    )
    migrating = make_engine(settings, role="migrate")
    upgrade(migrating)
    complete_builtin(migrating, NewVersion("0" * 64, "colours", LABELS, {}, {}))
    watch_commits(migrating)
    migrating.dispose()
    return settings, make_engine(settings, role="api")


def _environment(running: Services, port: int) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("IMGQ_")}
    env: dict[str, str] = child_environment(running, port=port, workers=1, base=plain)
    return (
        env
        | dict(SMALL)
        | {"PYTHONPATH": str(REPOSITORY), TRAINER: str(Path(__file__).with_name("trainer.py"))}
    )


def _command(name: str, role: str) -> tuple[str, ...]:
    match role:
        case "api":
            return (sys.executable, "-m", "imgq_api")
        case "worker":
            return (sys.executable, "-m", "tests.faults.storm.worker", name)
    return (sys.executable, "-m", "imgq_workers", role, "--name", name)


def _through_proxies(
    running: Services, servers: Mapping[str, Server], network: Network, name: str, role: str
) -> dict[str, str]:
    """Return the addresses of the servers for one process: proxies of its own, but for the API."""
    if role == "api":
        return {}
    urls = {"postgres": running.database_url, "valkey": running.redis_url}
    variables = {"postgres": "IMGQ_DATABASE_URL", "valkey": "IMGQ_REDIS_URL"}
    changed = {}
    for server, url in urls.items():
        port = servers[server].port
        proxy = network.add(f"{name} to {server}", port)
        changed[variables[server]] = url.replace(f":{port}/", f":{proxy}/")
    return changed
