"""The exit codes of the `imgq` command."""

from enum import IntEnum


class Exit(IntEnum):
    """What a script learns from `$?`."""

    OK = 0
    UNEXPECTED = 1
    #: What was asked for does not go with how things are, such as deleting a job that runs.
    CONFLICT = 1
    USAGE = 2
    #: The job finished, but some images failed.
    SOME_FAILED = 3
    AUTH = 4
    NOT_FOUND = 5
    UNREACHABLE = 6
    JOB_FAILED = 7
    #: The job was still running when `--timeout` passed.
    STILL_RUNNING = 8
    CANCELLED = 9
    INTERRUPTED = 130
    #: 128 + SIGPIPE, as of a program that the signal ends.
    CLOSED_PIPE = 141
