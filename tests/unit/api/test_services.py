"""Which addresses only this machine can reach."""

import pytest

from imgq_api.app import create_app
from imgq_api.errors import KeylessOffLoopback
from imgq_api.services import is_loopback
from imgq_db.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.evil"])
def test_everything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


def test_server_without_keys_refuses_to_leave_the_machine(lonely_settings: Settings) -> None:
    exposed = lonely_settings.model_copy(update={"insecure": True, "host": "0.0.0.0"})

    with pytest.raises(KeylessOffLoopback, match=r"listen on 0\.0\.0\.0"):
        create_app(exposed)
