"""What one file can come to: a prediction, or a rejection with one of a closed list of codes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class Code(StrEnum):
    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    CHANGED = "changed"
    OUTSIDE_ROOT = "outside_root"
    NOT_REGULAR_FILE = "not_regular_file"
    UNSUPPORTED_FORMAT = "unsupported_format"
    READ_TIMEOUT = "read_timeout"
    DECODE_TIMEOUT = "decode_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_CRASH = "worker_crash"
    TO_DO = "to_do"


class Stamp(NamedTuple):
    """What tells a file that was written to from one that was not, without reading it."""

    size_bytes: int
    modified_ns: int
    #: the inode's own change: no program can set it back
    changed_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """The best labels of one picture, by index into the model's labels, best first."""

    #: sha256 of the file's bytes
    digest: bytes
    top: tuple[int, ...]
    scores: tuple[float, ...]
    #: the file's, when it was opened; None if it is of no file in particular
    stamp: Stamp | None = None
    #: it was known from an earlier computation of the same bytes
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one file got no label."""

    status: Status
    code: Code
    detail: str
    #: sha256 of the file's bytes; None if they were not read, or not to be trusted
    digest: bytes | None = None


Outcome = Prediction | Rejection


def failed(code: Code, detail: str) -> Rejection:
    return Rejection(Status.FAILED, code, detail)


def skipped(code: Code, detail: str) -> Rejection:
    return Rejection(Status.SKIPPED, code, detail)
