"""What the views of one app share."""

import ipaddress
from dataclasses import dataclass, field
from typing import cast

from flask import Flask, current_app
from sqlalchemy import Engine

from imgq_api.bodies import ReadingRoom
from imgq_api.metrics import HttpMetrics
from imgq_api.waiting import WaitingRoom
from imgq_db.queue import Ring
from imgq_db.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """The connections of one app, made at composition."""

    settings: Settings
    engine: Engine
    ring: Ring
    waiting: WaitingRoom
    http: HttpMetrics
    reading: ReadingRoom = field(default_factory=ReadingRoom)


def services(app: Flask | None = None) -> Services:
    """Return the services of an app, of the current one by default."""
    return cast(Services, (app or current_app).extensions["imgq"])


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
