"""Reading requests' bodies: so many at once that whoever sends none is never kept waiting.

Granian knows no deadline for a body, and a read from it cannot be broken off: a client that sends
slowly, or nothing more, keeps the thread that answers it. So there are fewer seats than threads.
"""

import threading

from flask import Request

from imgq_api.errors import BodyTooLarge, TooManyBodies
from imgq_api.limits import MAX_BODY_BYTES

#: Most often a body comes with its request, and its seat is taken for less than a millisecond.
READING_SEATS = 16


class ReadingRoom:
    """The seats for bodies that are being read. Whoever finds none is refused at once."""

    def __init__(self, seats: int = READING_SEATS) -> None:
        self._seats = threading.BoundedSemaphore(seats)

    def read(self, request: Request) -> bytes:
        """Return a request's body. Raises BodyTooLarge, TooManyBodies."""
        if not self._seats.acquire(blocking=False):
            raise TooManyBodies
        try:
            body = request.get_data()
        finally:
            self._seats.release()
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(MAX_BODY_BYTES)
        return body
