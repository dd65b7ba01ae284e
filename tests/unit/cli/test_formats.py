"""Numbers, durations and times as people read them."""

from datetime import UTC, datetime

import pytest

from imgq_cli.formats import age, clock_time, count, duration, number
from imgq_cli.terminal import printable

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def test_numbers_have_spaces_between_thousands() -> None:
    assert (number(41210), number(7), number(1239.6)) == ("41 210", "7", "1 240")


def test_clock_times() -> None:
    assert (clock_time(47), clock_time(3_700), clock_time(-1)) == ("0:00:47", "1:01:40", "0:00:00")


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("2026-11-01T12:00:00Z", "now"),
        ("2026-11-01T12:00:09Z", "now"),
        ("2026-11-01T11:59:30Z", "30 s ago"),
        ("2026-11-01T11:10:00Z", "50 min ago"),
        ("2026-10-30T11:10:00Z", "2 d ago"),
        (None, "–"),
    ],
)
def test_ages(time: str | None, words: str) -> None:
    assert age(time, now=NOW) == words


def test_a_duration_needs_both_ends() -> None:
    assert duration("2026-11-01T10:00:00Z", "2026-11-01T10:01:00Z") == "0:01:00"
    assert duration(None, "2026-11-01T10:01:00Z") == "–"


def test_counts_agree_with_their_noun() -> None:
    assert (count(1, "image"), count(2_000, "image")) == ("1 image", "2 000 images")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本.jpg", "plain é 日本.jpg"),
        ("[red]x[/]", "[red]x[/]"),
        ("a\nb\tc\x1b[31m\x7f\x9b", r"a\nb\tc\x1b[31m\x7f\x9b"),
        ("gpj\u202eexe", r"gpj\u202eexe"),
        ("\udcff", r"\udcff"),
    ],
)
def test_nothing_that_moves_a_cursor_is_printed(text: str, shown: str) -> None:
    assert printable(text) == shown
