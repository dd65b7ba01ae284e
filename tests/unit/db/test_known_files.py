"""Which files may be remembered by their stamp."""

import pytest

from imgq_db.known_files import FileStamp, is_settled

NOW = 1_700_000_000_000_000_000
TWO_SECONDS = 2_000_000_000


@pytest.mark.parametrize(
    ("mtime_age", "ctime_age", "settled"),
    [
        (TWO_SECONDS, TWO_SECONDS, True),
        (NOW, TWO_SECONDS, True),
        (TWO_SECONDS - 1, NOW, False),
        (NOW, TWO_SECONDS - 1, False),
        (-TWO_SECONDS, NOW, False),
    ],
)
def test_a_file_is_settled_two_seconds_after_its_last_change(
    mtime_age: int, ctime_age: int, settled: bool
) -> None:
    stamp = FileStamp(1, NOW - mtime_age, NOW - ctime_age, 1)
    assert is_settled(stamp, NOW) is settled
