"""How often one client may do what costs the server, and how much it may send."""

from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

# Counted in memory: one server process, and a restart may forget.
limiter = Limiter(get_remote_address, storage_uri="memory://", strategy="moving-window")

MAX_BODY_BYTES = 1 << 20
CREATIONS = "600 per minute"
FAILED_KEYS = "120 per minute"


def creations() -> str:
    """Return how many jobs one key may create."""
    return CREATIONS


def seconds_until_allowed(now: float) -> int:
    """Return how long a client that was just refused has to wait, at least a second."""
    broken = limiter.current_limit
    return max(1, int(broken.reset_at - now)) if broken else 1


def count_failed_key() -> None:
    """Count one request without a good key; raise RateLimitExceeded when there were too many.

    Only failures count and only failures are refused: a good key passes from the same address.
    """
    with limiter.limit(FAILED_KEYS, scope="failed-key"):
        return
