"""What a training said since one last looked: its epochs, and lines of its log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from imgq_cli.calls import get_epochs, get_log
from imgq_cli.client import Client
from imgq_cli.errors import ServerUnreachable
from imgq_cli.formats import moment
from imgq_cli.shapes import TERMINAL, Job, LogLine, train_progress
from imgq_cli.terminal import printable
from imgq_cli.train_lines import epoch_line

#: Anything else in a log is what the trainer's process wrote besides.
LEVELS = ("info", "warning")
#: So many lines of a trainer that is gone are shown.
LAST_LINES = 20
#: How the log begins to tell of an attempt that died.
ATTEMPT = "Attempt "


def last_words(client: Client, uid: str) -> list[str]:
    """Return a training's warnings and the last lines that its process wrote, oldest first."""
    lines = [line["message"] for line in _whole_log(client, uid) if line["level"] != "info"]
    return lines[-LAST_LINES:]


def words_since_death(client: Client, uid: str) -> list[str]:
    """Return the last log line of an attempt that died and what was said since; none if none did.

    Of very many lines since then, the newest.
    """
    lines = _whole_log(client, uid)
    died = [at for at, line in enumerate(lines) if line["message"].startswith(ATTEMPT)]
    since = [line["message"] for line in lines[died[-1] :]] if died else []
    return since[:1] + since[1:][-LAST_LINES:]


def _whole_log(client: Client, uid: str) -> list[LogLine]:
    lines: list[LogLine] = []
    cursor: str | None = None
    while True:
        page = get_log(client, uid, cursor)
        lines += page["items"]
        if not page["items"] or page["next_cursor"] is None:
            return lines
        cursor = page["next_cursor"]


class Chronicle:
    """Gives each line of a training once, however often it is asked."""

    def __init__(self, client: Client, uid: str) -> None:
        self._client = client
        self._uid = uid
        self._seen: set[tuple[str, int, int, str]] = set()
        self._cursor: str | None = None
        self._whole_log = False

    def news(self, job: Job) -> list[str]:
        """Return the lines that are new, in the order they were said."""
        try:
            said = sorted((*self._log(), *self._epochs(job)), key=lambda line: line[0])
        except ServerUnreachable:
            # Whoever follows the job asks again, and tells if the silence lasts.
            return []
        return [line for _, line in said]

    def _epochs(self, job: Job) -> Iterator[tuple[datetime, str]]:
        if train_progress(job)["epoch"] is None and job["state"] not in TERMINAL and not self._seen:
            return
        for epoch in get_epochs(self._client, self._uid):
            key = (epoch["stage"], epoch["run"], epoch["epoch"], epoch["ended_at"])
            if key not in self._seen:
                self._seen.add(key)
                yield moment(epoch["ended_at"]), epoch_line(epoch)

    def _log(self) -> Iterator[tuple[datetime, str]]:
        while not self._whole_log:
            page = get_log(self._client, self._uid, self._cursor)
            for line in page["items"]:
                if line["level"] in LEVELS:
                    mark = "Warning: " if line["level"] == "warning" else ""
                    yield moment(line["said_at"]), mark + printable(line["message"])
            self._whole_log = page["next_cursor"] is None
            self._cursor = page["next_cursor"] or self._cursor
            if not page["items"]:
                return
