"""A WebP's size by its first bytes: to open one with a library takes memory for all of its pixels.

Source: https://developers.google.com/speed/webp/docs/riff_container and RFC 9649.
"""

#: what libwebp takes for a picture before it decodes any of it
OPENING_BYTES_PER_PIXEL = 8
_LOSSY_START, _LOSSLESS_START = b"\x9d\x01\x2a", b"\x2f"
_14_BITS = (1 << 14) - 1


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None if the first chunk does not tell."""
    head = data[20:30]
    if len(head) < 10:
        return None
    match data[12:16]:
        case b"VP8X":
            return 1 + _number(head[4:7]), 1 + _number(head[7:10])
        case b"VP8L" if head.startswith(_LOSSLESS_START):
            bits = _number(head[1:5])
            return 1 + (bits & _14_BITS), 1 + (bits >> 14 & _14_BITS)
        case b"VP8 " if head[3:6] == _LOSSY_START:
            return _number(head[6:8]) & _14_BITS, _number(head[8:10]) & _14_BITS
    return None


def has_memory_to_open(size: tuple[int, int]) -> bool:
    """Tell whether a library that could not open one had the memory to."""
    try:
        bytearray(size[0] * size[1] * OPENING_BYTES_PER_PIXEL)
    except MemoryError:
        return False
    return True


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
