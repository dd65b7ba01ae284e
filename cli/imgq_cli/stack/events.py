"""Telling what happens: to the terminal, and to a log that stays."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

Say = Callable[[str], None]


def recorded(say: Say, log: Path) -> Say:
    """Return a `say` that also appends each sentence, with the time, to a log."""

    def say_and_record(text: str) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        # A closed terminal or a full disk must not bring the stack down.
        try:
            with log.open("a") as file:
                file.write(f"{stamp} {text}\n")
        except OSError as error:
            text = f"{text} ({log} cannot be written: {error.strerror})"
        try:
            say(text)
        except OSError:
            return  # the terminal is gone

    return say_and_record
