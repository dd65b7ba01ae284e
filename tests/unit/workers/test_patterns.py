"""--include and --exclude: globs on any file name, and no pattern that stumbles."""

import fnmatch
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgq_workers.patterns import make_filter


def kept(paths: list[str], include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> str:
    passes = make_filter(include, exclude)
    return " ".join(path for path in paths if passes(path.encode()))


PATHS = ["x.jpg", "x.JPG", "y.png", "a/x.jpg", "a/b/x.jpg", "a/b/y.png", "ab/x.jpg"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.jpg", "x.jpg a/x.jpg a/b/x.jpg ab/x.jpg"),
        ("x.*", "x.jpg x.JPG a/x.jpg a/b/x.jpg ab/x.jpg"),
        ("?.png", "y.png a/b/y.png"),
        ("[xz].jpg", "x.jpg a/x.jpg a/b/x.jpg ab/x.jpg"),
        ("[!x].*", "y.png a/b/y.png"),
        ("[w-z].png", "y.png a/b/y.png"),
        ("a/*", "a/x.jpg"),
        ("/a/*", "a/x.jpg"),
        ("a/**", "a/x.jpg a/b/x.jpg a/b/y.png"),
        ("**/x.jpg", "x.jpg a/x.jpg a/b/x.jpg ab/x.jpg"),
        ("a/**/x.jpg", "a/x.jpg a/b/x.jpg"),
        ("a*/x.jpg", "a/x.jpg ab/x.jpg"),
        ("*/x.jpg", "a/x.jpg ab/x.jpg"),
        ("a?x.jpg", ""),
        ("a[!x]x.jpg", ""),
        ("a/[!/]x.jpg", ""),
        ("**", "x.jpg x.JPG y.png a/x.jpg a/b/x.jpg a/b/y.png ab/x.jpg"),
        ("**/b/**", "a/b/x.jpg a/b/y.png"),
        ("**/**/x.jpg", "x.jpg a/x.jpg a/b/x.jpg ab/x.jpg"),
        ("a/b/**/**", "a/b/x.jpg a/b/y.png"),
        ("x.jpg/**", ""),
        ("", ""),
        ("jpg", ""),
    ],
)
def test_a_pattern_keeps_what_it_matches(pattern: str, found: str) -> None:
    assert kept(PATHS, include=(pattern,)) == found
    left = [path for path in PATHS if path not in found.split()]
    assert kept(PATHS, exclude=(pattern,)) == " ".join(left)


def test_a_path_passes_if_any_include_and_no_exclude_matches() -> None:
    assert kept(PATHS, ("*.png", "a/*"), ("*/b/*",)) == "y.png a/x.jpg"
    assert kept(PATHS) == " ".join(PATHS)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[z-a]", "b"),
        ("[!]", "a"),
        ("[]", "a"),
        ("[", "a"),
        ("[a", "b"),
        (r"[\d]", "7"),
        ("a.b", "axb"),
        ("(a|b)", "a"),
        ("a+", "aa"),
        ("^a$", "a"),
        ("{a,b}", "a"),
    ],
)
def test_what_means_nothing_in_a_glob_matches_nothing_else(pattern: str, name: str) -> None:
    assert not make_filter((pattern,), ())(name.encode())


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[", "["),
        ("[a", "[a"),
        ("[]a]", "]"),
        ("[!]a]", "b"),
        ("[a-]", "-"),
        ("[--0]", "."),
        ("[a&&b]", "&"),
        ("[a||b~~]", "|"),
        ("[[a]", "["),
        ("[^a]", "^"),
        ("[\\]", "\\"),
        ("(a|b).jpg", "(a|b).jpg"),
        ("a\nb*", "a\nb\nc"),
        ("*.jpg", "a\nb.jpg"),
        ("caf?.jpg", "café.jpg"),
        ("\U0001f600*", "\U0001f600.jpg"),
    ],
)
def test_odd_characters_stand_for_themselves(pattern: str, name: str) -> None:
    assert make_filter((pattern,), ())(name.encode())


def test_names_that_are_no_text_are_matched_too() -> None:
    passes = make_filter(("*.jpg",), ("b*",))
    assert [passes(name) for name in (b"\xff.jpg", b"\xff.png", b"b\xff.jpg")] == [
        True,
        False,
        False,
    ]


def test_a_folder_that_cannot_be_read_always_passes() -> None:
    assert make_filter(("*.jpg",), ("**", "a/*"))(b"a/b/")


sets = st.text("[]!^-\\a&|~/", max_size=5).map(lambda inside: f"[{inside}]")
pieces = st.sampled_from(["[", "]", "!", "*", "**", "?", "/", "a"]) | sets | st.text(max_size=2)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("pattern", ["*a" * 60 + "b", "**/a" * 60 + "/b", "*?" * 60 + "[b]"])
def test_no_pattern_takes_long(pattern: str) -> None:
    passes = make_filter((pattern,), ())
    assert not passes(b"/".join([b"a" * 250] * 16))
    assert not passes(b"/".join([b"a"] * 1000))


@given(st.lists(pieces).map("".join), st.binary(min_size=1))
def test_no_pattern_and_no_name_makes_it_raise(pattern: str, name: bytes) -> None:
    assert make_filter((pattern,), ())(name) in (True, False)


plain = st.characters(exclude_characters="/[*?\0", exclude_categories=["Cs"])
wild = st.lists(plain | st.sampled_from(["*", "?", "[a-c]", "[!a]"]), max_size=8)


@given(st.text(plain, min_size=1))
def test_a_plain_name_matches_itself(name: str) -> None:
    assert make_filter((name,), ())(os.fsencode(name))


@given(wild, st.text(plain, max_size=12))
def test_a_pattern_for_names_means_what_the_shell_means(pattern: list[str], name: str) -> None:
    wanted = fnmatch.fnmatchcase(name, "".join(pattern))
    assert make_filter(("".join(pattern),), ())(name.encode()) == wanted


@pytest.mark.parametrize(
    ("pattern", "path", "left_out"),
    [
        ("raw/", b"raw/a.jpg", True),
        ("raw/", b"2024/raw/deep/a.jpg", True),
        ("raw/", b"raw.jpg", False),
        ("raw/", b"draw/a.jpg", False),
        ("2024/raw/", b"2024/raw/a.jpg", True),
        ("2024/raw/", b"other/2024/raw/a.jpg", False),
    ],
)
def test_a_pattern_that_ends_in_a_slash_means_a_folder(
    pattern: str, path: bytes, left_out: bool
) -> None:
    assert make_filter([], [pattern])(path) is not left_out
