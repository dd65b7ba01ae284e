"""Cursors: opaque, and never a way to make the server stumble."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgq_db.errors import CursorInvalid
from imgq_db.pages import read_cursor, write_cursor


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@given(
    st.text(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63) + 1, 2**63 - 1),
)
def test_a_cursor_gives_its_key_back(name: str, share: float, image: int) -> None:
    cursor = write_cursor(name, share, image)
    assert read_cursor(cursor, str, float, int) == (name, share, image)
    assert cursor.isascii() and not set(cursor) & set("=+/ &?")


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_garbage_is_refused_and_nothing_else_happens(cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        read_cursor(cursor, str, float, int)


@pytest.mark.parametrize(
    "document",
    [
        "{}",
        "7",
        '["a"]',
        '["path", 1, 2]',
        '["path", 0.5, true]',
        '["path", 0.5, 2, 3]',
        '["path", 0.5, "2"]',
        '["path", 0.5, 9223372036854775808]',
        '["path", 0.5, 1' + "0" * 5000 + "]",
        '["path", NaN, 2]',
        '["path", Infinity, 2]',
        "[" * 20_000,
        '["path", 0.5, null]',
    ],
)
def test_a_key_of_another_shape_is_refused(document: str) -> None:
    with pytest.raises(CursorInvalid):
        read_cursor(encoded(document), str, float, int)


def test_a_cursor_of_another_list_is_refused() -> None:
    assert json.loads(base64.urlsafe_b64decode(write_cursor(5) + "=="))
    with pytest.raises(CursorInvalid):
        read_cursor(write_cursor(5), str, float, int)
