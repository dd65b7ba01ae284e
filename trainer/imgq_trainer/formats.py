"""What a file's first bytes say it is, whatever its name says."""

import re
import struct
from enum import StrEnum


class Format(StrEnum):
    """The formats that are read; the values are Pillow's names."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    GIF = "GIF"
    BMP = "BMP"
    TIFF = "TIFF"
    AVIF = "AVIF"


#: a name that ends so promises a picture
IMAGE_EXTENSIONS = frozenset(
    b"jpg jpeg jpe jfif png apng webp gif bmp dib tif tiff avif avifs "
    b"heic heif hif jp2 j2k jpf jpx jxl svg svgz eps ps psd xcf ico cur icns tga dds exr hdr "
    b"ppm pgm pbm pnm pam qoi pcx wmf emf djvu cr2 cr3 nef arw dng orf rw2 raf pef srw".split()
)

_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", Format.JPEG),
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"II\x2a\x00", Format.TIFF),
    (b"MM\x00\x2a", Format.TIFF),
    (b"II\x2b\x00", Format.TIFF),
    (b"MM\x00\x2b", Format.TIFF),
)
_BMP_HEADER_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})

_UNREAD_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"8BPS", "Photoshop"),
    (b"gimp xcf", "GIMP"),
    (b"icns", "ICNS"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"AT&TFORM", "DjVu"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"IIU\x00", "camera raw"),
    (b"IIRO", "camera raw"),
    (b"IIRS", "camera raw"),
    (b"IIBC", "JPEG XR"),
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"crx "}
)
_ICON = re.compile(rb"\x00\x00[\x01\x02]\x00[\x01-\xff]\x00..[\x00-\xff]\x00", re.DOTALL)
_PNM = re.compile(rb"P[1-7]\s+(#[^\n]*\n\s*)*(\d+\s+\d+\s|WIDTH\s)")
_SVG = re.compile(rb"\s*<(\?xml|!DOCTYPE\s+svg|!--|svg)", re.IGNORECASE)
_SVG_ROOT = re.compile(rb"<(\w+:)?svg[\s>]")
_TEXT_BYTES = 4096


def sniff(data: bytes) -> Format | None:
    """Return the format to read a file as, or None if it is none of ours."""
    for signature, known in _SIGNATURES:
        if data.startswith(signature):
            return known
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[:2] == b"BM" and len(data) >= 18:
        (header_bytes,) = struct.unpack_from("<I", data, 14)
        return Format.BMP if header_bytes in _BMP_HEADER_BYTES else None
    if _AVIF_BRANDS & _brands(data):
        return Format.AVIF
    return None


def sniff_unread(data: bytes) -> str | None:
    """Return the name of a picture or page format that is known but not read, else None."""
    for signature, name in _UNREAD_SIGNATURES:
        if data.startswith(signature):
            return name
    if _HEIF_BRANDS & _brands(data):
        return "HEIF"
    text = data[:_TEXT_BYTES].removeprefix(b"\xef\xbb\xbf")
    if b"%PDF-" in text[:1024]:
        return "PDF"
    if _SVG.match(text) and _SVG_ROOT.search(text):
        return "SVG"
    if _ICON.match(data):
        return "ICO"
    return "PNM" if _PNM.match(data) else None


def has_image_extension(name: bytes) -> bool:
    """Tell whether a file's name promises a picture."""
    stem, dot, extension = name.rpartition(b"/")[2].rpartition(b".")
    return bool(stem and dot) and extension.lower() in IMAGE_EXTENSIONS


def _brands(data: bytes) -> set[bytes]:
    """The names in the first box of an ISO media file; empty if it is none."""
    if data[4:8] != b"ftyp":
        return set()
    (size,) = struct.unpack_from(">I", data)
    box = data[8 : min(size, 512)]
    return {box[i : i + 4] for i in range(0, len(box), 4) if i != 4}
