"""Postgres and Valkey for as long as a `with` block lasts."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from imgq_cli.stack.accounts import Account, server_account
from imgq_cli.stack.binaries import find_postgres, find_redis, reachable_postgres, reachable_redis
from imgq_cli.stack.home import Home, ensure_secret, explained, make_home, reachable_home
from imgq_cli.stack.orphans import ourselves, servers_lock, sole_holder
from imgq_cli.stack.postgres import ensure_cluster, ensure_database, postgres_kind, postgres_url
from imgq_cli.stack.servers import START_SECONDS, Server
from imgq_cli.stack.state import State, StateFile
from imgq_cli.stack.valkey import redis_url as valkey_url
from imgq_cli.stack.valkey import valkey_kind
from imgq_cli.stack.waiting import never


@dataclass(frozen=True, slots=True)
class Services:
    """Where the two services are, and the servers that were started for that."""

    database_url: str
    redis_url: str
    home: Home
    state: StateFile
    #: Shared with children, so that their life is seen through the lock.
    lock_fd: int
    servers: tuple[Server, ...]


@contextlib.contextmanager
def services(
    home: Path,
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    durable: bool = True,
    stop: Callable[[], bool] = never,
) -> Iterator[Services]:
    """Run Postgres and Valkey on a home; a URL that is given is used instead of a server.

    durable=False: for tests, quick and lost on a crash. stop: asked while waiting for the start.
    Call it from the main thread: on Linux the servers end with the thread that started them.
    Raises StackError.
    """
    account = None if database_url and redis_url else server_account()
    with contextlib.ExitStack() as stack:
        place = make_home(home, account)
        with explained(place.folder):
            previous = stack.enter_context(sole_holder(place))
            lock_fd = stack.enter_context(servers_lock(place, previous))
            state = StateFile(place.state, State(supervisor=ourselves()))
            stack.callback(state.remove)
            place = stack.enter_context(reachable_home(place, account, durable=durable))
            secret = ensure_secret(place)
        start = _Start(place, account, durable, lock_fd, state, stack)
        with explained(place.folder):
            redis = None if redis_url else start.valkey()
            database = None if database_url else start.postgres()
            if redis:
                redis.await_ready(stop, may_move=True, timeout_seconds=START_SECONDS)
                redis_url = valkey_url(redis.port, secret)
            if database:
                database.await_ready(stop, may_move=True, timeout_seconds=START_SECONDS)
                ensure_database(database.port, secret)
                database_url = postgres_url(database.port, secret)
        assert database_url and redis_url
        servers = tuple(server for server in (database, redis) if server)
        yield Services(database_url, redis_url, place, state, lock_fd, servers)


@dataclass(frozen=True, slots=True)
class _Start:
    """Launches servers that the stack of contexts will stop, the last one first."""

    home: Home
    account: Account | None
    durable: bool
    lock_fd: int
    state: StateFile
    stack: contextlib.ExitStack

    def valkey(self) -> Server:
        program = reachable_redis(find_redis(), self.account, self.home.servers / "bin")
        kind = valkey_kind(
            self.home, program, self.account, durable=self.durable, keep_fds=(self.lock_fd,)
        )
        return self._launched(Server(kind, self.state.put))

    def postgres(self) -> Server:
        programs = reachable_postgres(find_postgres(), self.account, self.home.servers / "bin")
        ensure_cluster(self.home, programs, self.account, durable=self.durable)
        kind = postgres_kind(
            self.home, programs, self.account, durable=self.durable, keep_fds=(self.lock_fd,)
        )
        return self._launched(Server(kind, self.state.put))

    def _launched(self, server: Server) -> Server:
        self.stack.callback(server.stop)
        server.launch()
        return server
