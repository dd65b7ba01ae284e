"""Messages that nobody of imgq wrote: some almost right, some nothing at all."""

import json
from collections.abc import Sequence

from imgq_db.queue import TASKS


def forgeries(queue: str) -> Sequence[tuple[str, bytes]]:
    """Return messages for a queue's list, each with what it is."""
    headers = {"id": "forged", "task": TASKS[queue], "lang": "py", "argsrepr": "()"}
    envelope: dict[str, object] = {
        "body": "W1tdLCB7fSwgbnVsbF0=",  # [[], {}, null]
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "correlation_id": "forged",
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_tag": "forged",
            "body_encoding": "base64",
        },
    }
    unknown = {**envelope, "headers": {**headers, "task": "os.system"}}
    pickled = {**envelope, "content-type": "application/x-python-serialize"}
    given = {**envelope, "body": "W1sxXSwge30sIG51bGxd"}  # [[1], {}, null]
    headless = {**envelope, "headers": {}}
    return (
        ("a bell that nobody rang", json.dumps(envelope).encode()),
        ("an unknown task", json.dumps(unknown).encode()),
        ("a pickle", json.dumps(pickled).encode()),
        ("a bell with an argument", json.dumps(given).encode()),
        ("a message without headers", json.dumps(headless).encode()),
        ("JSON that is no message", b'{"a": 1}'),
        ("bytes", b"\xff\x00 no message at all"),
    )
