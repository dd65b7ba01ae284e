"""Any file name as text, and back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgq_db.names import name_from_text, name_to_text

#: Bytes of a path: no NUL. Percent signs and hex digits are made likely, for they are the trap.
paths = st.lists(
    st.sampled_from([b"%", b"2", b"F", b"f", b"/", b"\xff", b"\xed\xa0\x80", "é".encode()])
    | st.binary(min_size=1, max_size=3).filter(lambda part: b"\0" not in part)
).map(b"".join)


@given(paths)
@example(b"%\xff41")
@example(b"100%25\xc3(")
def test_every_name_comes_back_from_its_text(name: bytes) -> None:
    assert name_from_text(name_to_text(name)) == name


@given(paths)
def test_text_of_a_name_can_always_be_sent(name: bytes) -> None:
    name_to_text(name).encode("utf-8")


@given(paths, paths)
def test_two_names_never_share_a_text(one: bytes, other: bytes) -> None:
    assert (name_to_text(one) == name_to_text(other)) == (one == other)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="%\0")))
def test_readable_names_are_shown_as_they_are(name: str) -> None:
    assert name_to_text(name.encode()) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"50% off.jpg", "50% off.jpg"),
        (b"a\xffb.jpg", "a%FFb.jpg"),
        (b"a%FFb.jpg", "a%25FFb.jpg"),
        (b"caf\xc3\xa9\n.jpg", "café\n.jpg"),
        (b"\xed\xa0\x80", "%ED%A0%80"),
    ],
)
def test_only_what_needs_it_is_escaped(name: bytes, text: str) -> None:
    assert name_to_text(name) == text
