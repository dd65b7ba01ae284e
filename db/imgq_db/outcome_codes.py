"""The codes that a row without a label may have: a closed list, the published one."""

OUTCOME_CODES = (
    "empty_file",
    "not_an_image",
    "truncated",
    "corrupt",
    "too_large",
    "unreadable",
    "vanished",
    "changed",
    "outside_root",
    "not_regular_file",
    "unsupported_format",
    "read_timeout",
    "decode_timeout",
    "out_of_memory",
    "worker_crash",
    "to_do",
)
