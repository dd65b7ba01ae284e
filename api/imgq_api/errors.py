"""What can go wrong between a request and the shared state, as events.

ImgqError
├── RequestInvalid, BodyMalformed, BodyTooLarge, MediaTypeUnsupported (the request itself)
├── KeyMissing, ScopeMissing, ForeignPage (who asks)
├── NoTraining (what a job of this kind does not have)
├── TooManyBodies (for whom there is no room now)
├── ParquetMissing (what this installation lacks)
└── KeylessOffLoopback, AddressUnusable (at start)
"""

from dataclasses import dataclass

from imgq_db.errors import Conflict, ImgqError, Unavailable


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that was not accepted. detail: a sentence that names it."""

    pointer: str
    detail: str


class RequestInvalid(ImgqError):
    slug = "request-invalid"
    title = "The request is not valid"

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        others = len(errors) - 1
        more = f" ({others} more)" if others else ""
        super().__init__(f"{errors[0].detail}{more}")
        self.errors = errors


class BodyMalformed(ImgqError):
    slug = "body-malformed"
    title = "The body is not JSON"

    def __init__(self, why: str) -> None:
        super().__init__(f"The body cannot be read as JSON: {why}.")


class BodyTooLarge(ImgqError):
    slug = "body-too-large"
    title = "The body is too large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The body is larger than {limit_bytes} bytes, the most that this server reads.",
            "Send less: a job names the folder of its images, and never carries them.",
        )


class TooManyBodies(Unavailable):
    slug = "too-many-bodies"
    title = "Too many requests are being read"

    def __init__(self) -> None:
        super().__init__(
            "As many bodies as this server reads at once are still on their way.",
            "Send the request again in some seconds.",
        )


class MediaTypeUnsupported(ImgqError):
    slug = "media-type-unsupported"
    title = "The body's type is not supported"

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The body's Content-Type is {found or 'not given'}.",
            "Send Content-Type: application/json.",
        )


class KeyMissing(ImgqError):
    slug = "key-missing"
    title = "An API key is needed"

    def __init__(self) -> None:
        super().__init__(
            "The request carries no API key.", "Send Authorization: Bearer imgq_<prefix>_<secret>."
        )


class ScopeMissing(ImgqError):
    slug = "scope-missing"
    title = "The API key may not do this"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"The API key lacks the scope {scope!r}.",
            f"imgq keys create --scope {scope} makes a key that has it.",
        )


class ForeignPage(ImgqError):
    slug = "foreign-page"
    title = "Another site's page may not use this server"

    def __init__(self) -> None:
        super().__init__(
            "A server without keys answers no request that another site's page sent.",
            "Start the server without --insecure and send a key.",
        )


class NoTraining(Conflict):
    slug = "no-training"
    title = "The job trains and evaluates nothing"

    def __init__(self, job: object) -> None:
        super().__init__(
            f"The job {job} is a classify job: it has no epochs, log or report.",
            f"imgq results {job} shows its labels.",
        )


class ParquetMissing(ImgqError):
    slug = "parquet-missing"
    title = "Parquet is not installed on the server"

    def __init__(self) -> None:
        super().__init__(
            "The server has no pyarrow, so it cannot write Parquet.",
            "pip install 'imgq[parquet]' on the server, or ask for .csv or .jsonl.",
        )


class KeylessOffLoopback(ImgqError):
    slug = "keyless-off-loopback"
    title = "A server without keys must stay on this machine"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The server was told to run without keys and to listen on {host}.",
            "Use --host 127.0.0.1, or leave --insecure out.",
        )


class AddressUnusable(ImgqError):
    slug = "address-unusable"
    title = "The server cannot listen there"

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(
            f"The server cannot listen on {host}, port {port}: {why}.",
            "Choose another with --port, or stop what listens there.",
        )
