"""Starting a child that writes to a log and, on Linux, dies with us."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imgq_cli.stack.accounts import Account

PR_SET_PDEATHSIG = 1


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
    account: Account | None = None,
    stdin: str | None = None,
    keep_fds: tuple[int, ...] = (),
    death_signal: int = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, with its output appended to log.

    Call it from the main thread only: Linux sends death_signal when the *thread* that started
    the child ends. Ctrl-C on our terminal does not reach the child. Raises OSError.
    """
    # O_APPEND, so that the log can be cut while the child keeps writing to it.
    log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - programs that the stack chose, no shell
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=log_fd,
            stderr=log_fd,
            env=dict(env),
            cwd=cwd,
            pass_fds=keep_fds,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_death_notice(death_signal),
        )
    finally:
        os.close(log_fd)
    if process.stdin and stdin is not None:
        _feed(process, stdin)
    return process


def _feed(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdin
    try:
        process.stdin.write(text.encode())
        process.stdin.close()
    except BrokenPipeError:
        # The program ended before it read its input; whoever waits for it sees that, with its log.
        return


def _death_notice(death_signal: int) -> Callable[[], None] | None:
    """Return what the child does before exec, so that our death, even by SIGKILL, reaches it.

    It runs after the change of user, which would clear the setting.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # we died before the request was in place
            os._exit(1)

    return ask
