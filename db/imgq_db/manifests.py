"""A chunk's manifest: the paths of its images, relative to the source, packed in one column."""

import zlib
from collections.abc import Sequence


def pack_names(names: Sequence[bytes]) -> bytes:
    """Pack paths. No path can hold a NUL, so NUL joins them."""
    return zlib.compress(b"\0".join(names), level=6)


def unpack_names(packed: bytes) -> tuple[bytes, ...]:
    """Unpack what `pack_names` packed. An empty manifest cannot be told from one empty name."""
    return tuple(zlib.decompress(packed).split(b"\0"))
