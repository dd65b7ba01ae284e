"""What each code of a picture without a label means, and the state of a job in words."""

from collections.abc import Mapping

MEANING: Mapping[str, str] = {
    "empty_file": "the file has no bytes",
    "not_an_image": "the bytes are not those of a picture",
    "truncated": "the file ends before the picture does",
    "corrupt": "the picture's data is damaged",
    "too_large": "more pixels or bytes than the limit (IMGQ_MAX_PIXELS, IMGQ_MAX_FILE_BYTES)",
    "unreadable": "the worker may not read the file",
    "vanished": "the file was gone when its turn came",
    "changed": "the file changed while it was read",
    "outside_root": "a link that leads out of the folder",
    "not_regular_file": "a pipe, socket or device",
    "unsupported_format": "a format that imgq does not read (HEIC, JPEG 2000, SVG, PDF …)",
    "read_timeout": "reading the file took too long (IMGQ_DECODE_SECONDS)",
    "decode_timeout": "decoding took too long (IMGQ_DECODE_SECONDS)",
    "out_of_memory": "decoding needed more memory than there was",
    "worker_crash": "the picture ended a worker, also alone",
    "to_do": "a picture that a dry run leaves to the real job",
}
