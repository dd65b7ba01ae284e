"""Which children make up imgq on one machine, and what they are told."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from imgq_cli.stack.children import ChildSpec
from imgq_cli.stack.ports import LOOPBACK
from imgq_cli.stack.probe import has_workers, is_ready
from imgq_cli.stack.services import Services
from imgq_cli.stack.starting import python

#: Settings of the user's shell that point at another server, or would win over ours.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "IMGQ_SERVER", "IMGQ_API_KEY", "IMGQ_INSECURE")
#: A worker's loop ends after 20 s at the latest; so long a trainer may write its checkpoint.
WORKER_STOP_SECONDS = 30.0


def child_environment(
    services: Services, *, port: int, workers: int, base: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of every child: ours on top of the user's."""
    env = {name: value for name, value in base.items() if name not in FOREIGN}
    env |= {
        "IMGQ_DATABASE_URL": services.database_url,
        "IMGQ_REDIS_URL": services.redis_url,
        "IMGQ_DATA_DIR": str(services.home.data),
        "IMGQ_HOME": str(services.home.folder),
        "IMGQ_HOST": LOOPBACK,
        "IMGQ_PORT": str(port),
        "IMGQ_LOCAL_FILES": "true",
        "PYTHONUNBUFFERED": "1",
        # A json.py in the user's current folder must not take the place of Python's own.
        "PYTHONSAFEPATH": "1",
    }
    if workers > 1:
        threads = str(max(1, (os.cpu_count() or 1) // workers))
        for name in ("IMGQ_TORCH_THREADS", "IMGQ_DECODE_THREADS"):
            env.setdefault(name, threads)
    return env


def imgq_children(
    env: Mapping[str, str], *, url: str, key: str, workers: int
) -> tuple[ChildSpec, ...]:
    """Return the API, the reconciler, the workers and a trainer, in the order they start."""
    started_at = datetime.now(UTC)
    api = ChildSpec(
        name="api",
        argv=python("imgq_api"),
        command="imgq_api",
        env=env,
        ready=partial(is_ready, url),
        group="the API",
    )
    reconciler = ChildSpec(
        name="reconciler",
        argv=python("imgq_workers", "reconciler"),
        command="imgq_workers",
        env=env,
        group="the reconciler",
    )
    return (
        api,
        reconciler,
        *(
            _worker(
                number, env, ready=partial(has_workers, url, key, count=number, since=started_at)
            )
            for number in range(1, workers + 1)
        ),
        # One of its own, so that a training of days keeps no pictures from being labelled.
        _worker_like(
            "trainer",
            "trainer",
            env,
            partial(has_workers, url, key, count=1, since=started_at, queue="train"),
        ),
    )


def _worker(number: int, env: Mapping[str, str], ready: Callable[[], bool]) -> ChildSpec:
    return _worker_like(f"worker-{number}", "worker", env, ready)


def _worker_like(
    name: str, process: str, env: Mapping[str, str], ready: Callable[[], bool]
) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=python("imgq_workers", process, "--name", name),
        command="imgq_workers",
        env=env,
        ready=ready,
        stop_seconds=WORKER_STOP_SECONDS,
        group="the workers",
    )
