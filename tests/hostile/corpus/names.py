"""File names that hurt a shell, a terminal, a log, a table or a page."""

from functools import partial

from PIL import Image
from tests.hostile.corpus.cases import OK, Case
from tests.hostile.corpus.encoding import encoded

#: below a folder of their own, so that none is another case's
FOLDER = b"names/"
NAMES: tuple[bytes, ...] = (
    b"=cmd|' /C calc'!A0.jpg",
    b"=1+1.jpg",
    b"+1.jpg",
    b"-1.jpg",
    b"@SUM(A1).jpg",
    b"\ttab.jpg",
    b"in\tside.jpg",
    b"carriage\rreturn.jpg",
    b"new\nline.jpg",
    b"two\r\nends.jpg",
    b"\nfirst.jpg",
    b'quote".jpg',
    b"apostrophe's.jpg",
    b"comma, semicolon; .jpg",
    b"back\\slash.jpg",
    b"\\N.jpg",
    b"\\.jpg",
    b"\\x41.jpg",
    b"%41.jpg",
    b"100%.jpg",
    b" leading space.jpg",
    b"trailing space.jpg ",
    b"$(touch pwned).jpg",
    b"`id`;rm -rf *.jpg",
    b"'; DROP TABLE job; --.jpg",
    b"{{7*7}}${7*7}.jpg",
    b"%s%n%x.jpg",
    b"<script>alert(1)<\\script>.jpg",
    b"<img src=x onerror=alert(1)>.jpg",
    b"[bold red]rich[-bold].jpg",
    b"\x1b[31mred\x1b[0m.jpg",
    b"\x1b]0;title\x07.jpg",
    b"\x08\x7f\x01.jpg",
    b"\xff\xfe\x80.jpg",
    b"half-\xe2\x82.jpg",
    b"\xed\xa0\x80surrogate.jpg",
    "right\u202egpj.exe.jpg".encode(),
    "line\u2028separator.jpg".encode(),
    "csi\u009b31m.jpg".encode(),
    "\ufefforder.jpg".encode(),
    "＝1+1.jpg".encode(),
    "日本語 – Zürich.jpg".encode(),
    "e\u0301.jpg".encode(),
    "\u00e9.jpg".encode(),
    "👩‍👩‍👧.jpg".encode(),
    b"x" * 251 + b".jpg",
    b"CON.jpg",
    b"imgq_abcdefgh_" + b"k" * 43 + b".jpg",
    b"-rf.jpg",
    b"2026-01-01T00:00:00Z [error] forged=1.jpg",
)
#: names that begin a spreadsheet's formula, at the start of a path
FORMULAS: tuple[bytes, ...] = (
    b"=cmd|' /C calc'!A0.jpg",
    b"+1.jpg",
    b"-1.jpg",
    b"@SUM(A1).jpg",
    b"\ttab.jpg",
    b"\rreturn.jpg",
    "＝1+1.jpg".encode(),
)


def named() -> list[Case]:
    """Return one small picture under each name."""
    small = partial(encoded, "PNG", Image.new("RGB", (8, 8), "teal"))
    paths = [FOLDER + name for name in NAMES] + list(FORMULAS)
    return [Case(path, small, OK) for path in paths]
