import pytest

from imgq_trainer.formats import Format, has_image_extension, sniff, sniff_unread

FTYP = b"\0\0\0\x18ftyp%s\0\0\0\0mif1%s"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xd8\xff\xe0", Format.JPEG),
        (b"\x89PNG\r\n\x1a\n", Format.PNG),
        (b"GIF87a", Format.GIF),
        (b"RIFF\0\0\0\0WEBPVP8 ", Format.WEBP),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"BM" + bytes(12) + b"\x28\0\0\0", Format.BMP),
        (b"BM, a letter begins.", None),
        (b"MM\0\x2a", Format.TIFF),
        (FTYP % (b"avif", b"miaf"), Format.AVIF),
        (FTYP % (b"mif1", b"avif"), Format.AVIF),
        (FTYP % (b"heic", b"heic"), None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_format(data: bytes, expected: Format | None) -> None:
    assert sniff(data) is expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x0a\xfa", "JPEG XL"),
        (FTYP % (b"heic", b"heic"), "HEIF"),
        (FTYP % (b"crx ", b"isom"), "HEIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", None),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<svg xmlns="x">', "SVG"),
        (b"<!-- a drawing -->\n<svg:svg >", "SVG"),
        (b"<html><body><svg></svg>", None),
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\1\0\1\0\x20\x20\0\0", "ICO"),
        (b"P6\n# made by hand\n3 2\n255\n", "PNM"),
        (b"P6 is a chip", None),
        (b"plain text", None),
        (b"", None),
    ],
)
def test_pictures_that_are_not_read_are_recognised(data: bytes, expected: str | None) -> None:
    assert sniff_unread(data) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.jpg", True),
        (b"dir/A.JPEG", True),
        (b"\xff.heic", True),
        (b"jpg", False),
        (b"dir.jpg/readme", False),
        (b"a.jpg.txt", False),
        (b".jpg", False),
    ],
)
def test_an_extension_promises_a_picture(name: bytes, expected: bool) -> None:
    assert has_image_extension(name) is expected
