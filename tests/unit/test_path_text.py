"""Paths are written as text on both sides of the wall between db and trainer: alike."""

from hypothesis import given
from hypothesis import strategies as st

from imgq_db.names import name_from_text, name_to_text
from imgq_trainer.datasets.paths import path_from_text, path_to_text

PATHS = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    st.lists(st.sampled_from([b"%", b"25", b"E9", b"\xe9", b"\xf0\x9f", b"/", b"a"])).map(b"".join),
)


@given(PATHS)
def test_both_sides_write_and_read_the_same_text(path: bytes) -> None:
    text = path_to_text(path)
    assert text == name_to_text(path)
    assert path_from_text(text) == name_from_text(text) == path
