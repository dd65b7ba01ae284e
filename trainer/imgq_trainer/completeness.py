"""Does a file end before its own structure says it should? Asked once decoding has failed."""

import struct

from imgq_trainer.formats import Format

_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN, _FILLER = 0xDA, 0xFF
_HUFFMAN_FRAMES = frozenset({0xC0, 0xC1, 0xC2})


def is_cut_short(data: bytes, known: Format) -> bool | None:
    """Return None if the format's structure does not tell."""
    match known:
        case Format.JPEG:
            return _jpeg_lacks_its_end(data)
        case Format.PNG:
            return _png_lacks_its_end(data)
        case Format.WEBP:
            return _u32(data, 4, "<") + 8 > len(data)
        case Format.BMP:
            return _u32(data, 2, "<") > len(data)
        case Format.GIF:
            return not data.rstrip(b"\0").endswith(b";")
        case Format.AVIF:
            return _boxes_pass_the_end(data)
        case Format.TIFF:
            return _tiff_passes_the_end(data)


def is_huffman_jpeg(data: bytes) -> bool:
    """Tell whether a file is a JPEG in the code of symbols that all but a few are in."""
    at = 2
    while data.startswith(b"\xff\xd8") and at + 4 <= len(data) and data[at] == _FILLER:
        marker = data[at + 1]
        if marker in _HUFFMAN_FRAMES or marker == _START_OF_SCAN:
            return marker != _START_OF_SCAN
        at += 1 if marker == _FILLER else 2 + _u16(data, at + 2, ">")
    return False


def _jpeg_lacks_its_end(data: bytes) -> bool:
    at = 2
    while at + 4 <= len(data):
        if data[at] != _FILLER:
            return False  # no marker where one must be: damaged rather than short
        marker = data[at + 1]
        if marker == _FILLER:
            at += 1
        elif marker in _MARKERS_WITHOUT_LENGTH:
            at += 2
        elif marker == _START_OF_SCAN:
            return data.find(b"\xff\xd9", at) < 0
        else:
            at += 2 + _u16(data, at + 2, ">")
    return True


def _png_lacks_its_end(data: bytes) -> bool:
    at = 8
    while at + 8 <= len(data):
        kind = data[at + 4 : at + 8]
        if not kind.isalpha():
            return False
        at += 12 + _u32(data, at, ">")
        if kind == b"IEND":
            return at > len(data)
    return True


def _boxes_pass_the_end(data: bytes) -> bool:
    at = 0
    while at + 8 <= len(data):
        size = _u32(data, at, ">")
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size == 0:  # to the end of the file
            return False
        if size < 8:
            return False
        at += size
    return at != len(data)


def _tiff_passes_the_end(data: bytes) -> bool | None:
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        return True
    if _u16(data, 2, order) != 42:
        return None
    directory = _u32(data, 4, order)
    if directory + 2 > len(data):
        return True
    entries = _u16(data, directory, order)
    return True if directory + 2 + 12 * entries > len(data) else None


def _u16(data: bytes, at: int, order: str) -> int:
    return int.from_bytes(data[at : at + 2], "little" if order == "<" else "big")


def _u32(data: bytes, at: int, order: str) -> int:
    return int.from_bytes(data[at : at + 4], "little" if order == "<" else "big")
