"""Times as clients read them."""

from datetime import UTC, datetime, timedelta, timezone

from imgq_api.moments import rfc3339


def test_times_are_utc_with_z() -> None:
    east = timezone(timedelta(hours=2))

    assert rfc3339(datetime(2026, 5, 1, 14, 0, tzinfo=east)) == "2026-05-01T12:00:00Z"
    assert rfc3339(datetime(2026, 5, 1, 12, 0, 0, 5, tzinfo=UTC)) == "2026-05-01T12:00:00.000005Z"
