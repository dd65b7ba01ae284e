"""Which files may be remembered by their stamp."""

import pytest

from imgq_db.known_files import FileStamp, is_settled

NOW = 1_700_000_000_000_000_000
A_MINUTE = 60_000_000_000


@pytest.mark.parametrize(
    ("mtime_age", "ctime_age", "settled"),
    [
        (A_MINUTE, A_MINUTE, True),
        (NOW, A_MINUTE, True),
        (A_MINUTE - 1, NOW, False),
        (NOW, A_MINUTE - 1, False),
        (-A_MINUTE, NOW, False),
    ],
)
def test_a_file_is_settled_a_minute_after_its_last_change(
    mtime_age: int, ctime_age: int, settled: bool
) -> None:
    stamp = FileStamp(1, NOW - mtime_age, NOW - ctime_age, 1)
    assert is_settled(stamp, NOW) is settled
