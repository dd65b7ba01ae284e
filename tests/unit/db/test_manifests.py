"""A chunk's names in one column."""

from hypothesis import given
from hypothesis import strategies as st

from imgq_db.manifests import pack_names, unpack_names

names = st.binary(min_size=1).filter(lambda name: b"\0" not in name)


@given(st.lists(names, min_size=1))
def test_names_come_back_in_order_and_byte_for_byte(given_names: list[bytes]) -> None:
    assert unpack_names(pack_names(given_names)) == tuple(given_names)


def test_a_full_manifest_takes_a_few_bytes_a_name() -> None:
    packed = pack_names([b"camera-7/2024-05-17/IMG_%05d.JPG" % n for n in range(256)])
    assert len(packed) < 256 * 6
