"""When a claim is over by the clock of the database, even if that is set back after the claim."""

from typing import Final

#: Settings allow no lease that is longer, and no pause is.
LONGEST_SECONDS: Final = 3600


def is_over(until: str) -> str:
    """Return the SQL condition that a lease is over. until: its column, such as t.lease_until."""
    return f"({until} < (SELECT imgq_now()) OR {was_set_back(until)})"


def was_set_back(until: str) -> str:
    """Return the SQL condition that the clock was set back since a lease, or a pause, was made.

    It has longer to go than any was made for, and would hold up its work by as much.
    """
    return f"{until} > (SELECT imgq_now()) + interval '{LONGEST_SECONDS} seconds'"
