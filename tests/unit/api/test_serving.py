"""What the API's parts need of each other."""

from imgq_api.serving import THREADS
from imgq_db.engine import KEPT, MORE


def test_no_thread_waits_for_a_connection() -> None:
    assert KEPT + MORE > THREADS
