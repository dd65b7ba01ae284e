"""What can go wrong in the shared state, as events.

ImgqError
├── NotFound: JobNotFound, ModelNotFound, ReportNotFound, KeyNotFound
├── Refused (the request cannot be done as it stands): SourceInvalid, SourceNotAllowed,
│   OptionInvalid, CursorInvalid, ArtifactInvalid, IdempotencyKeyReused,
│   AliasInvalid, NothingToRetry
├── Conflict: JobStillRunning, NoImageResults, ModelExists, PromotionRefused, NothingToRollBack,
│   VersionInUse, ExportUnavailable, IdempotencyInFlight, LeaseLost
├── KeyInvalid
└── Unavailable: DatabaseUnavailable, SchemaOutdated
"""

from typing import ClassVar


class ImgqError(Exception):
    """Base of every error that a person may read. `str(error)` is one whole sentence."""

    slug: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, hint: str | None = None) -> None:
        super().__init__(detail)
        self.hint = hint


class NotFound(ImgqError):
    slug = "not-found"
    title = "Not found"


class JobNotFound(NotFound):
    slug = "job-not-found"
    title = "No such job"

    def __init__(self, job: object) -> None:
        super().__init__(f"There is no job {job}.", "imgq jobs lists the jobs.")


class ModelNotFound(NotFound):
    slug = "model-not-found"
    title = "No such model"

    def __init__(self, ref: str) -> None:
        super().__init__(f"There is no model {ref!r}.", "imgq models list shows what there is.")


class ReportNotFound(NotFound):
    slug = "report-not-found"
    title = "There is no report"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"There is no report of {what}: {why}.",
            "Only what imgq train and imgq evaluate made has one.",
        )


class KeyNotFound(NotFound):
    slug = "key-not-found"
    title = "No such API key"

    def __init__(self, prefix: str) -> None:
        super().__init__(f"There is no API key with the prefix {prefix!r}.", "imgq keys list")


class Refused(ImgqError):
    slug = "refused"
    title = "The request cannot be done as it stands"


class SourceInvalid(Refused):
    slug = "source-invalid"
    title = "The source cannot be used"


class SourceNotAllowed(Refused):
    slug = "source-not-allowed"
    title = "The server may not read that source"


class OptionInvalid(Refused):
    slug = "option-invalid"
    title = "An option cannot be used"


class CursorInvalid(Refused):
    slug = "cursor-invalid"
    title = "The cursor cannot be read"

    def __init__(self) -> None:
        super().__init__(
            "The cursor is not one that this server gave for this list.",
            "Start again without a cursor.",
        )


class ArtifactInvalid(Refused):
    slug = "artifact-invalid"
    title = "The model's files cannot be used"


class AliasInvalid(Refused):
    slug = "alias-invalid"
    title = "The alias cannot be used"

    def __init__(self, alias: str) -> None:
        super().__init__(
            f"{alias!r} is no alias.",
            "Use lower-case letters, digits, '.', '_' and '-', 63 at most.",
        )


class IdempotencyKeyReused(Refused):
    slug = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another request"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was sent before with another body.",
            "Send a new key for a new request.",
        )


class NothingToRetry(Refused):
    slug = "nothing-to-retry"
    title = "Nothing failed"

    def __init__(self, job: object) -> None:
        super().__init__(
            f"No image of job {job} failed.", "Retry without --failed to do all of it again."
        )


class Conflict(ImgqError):
    slug = "conflict"
    title = "The state does not allow it"


class JobStillRunning(Conflict):
    slug = "job-still-running"
    title = "The job has not ended"

    def __init__(self, job: object, act: str) -> None:
        super().__init__(
            f"The job {job} has not ended, so it cannot be {act} yet.",
            f"imgq cancel {job} ends it.",
        )


class NoImageResults(Conflict):
    slug = "no-image-results"
    title = "The job has no results by image"

    def __init__(self, job: object, kind: str) -> None:
        article = "an" if kind[0] in "aeiou" else "a"
        super().__init__(
            f"The job {job} is {article} {kind} job: it labels no images.",
            f"imgq status {job} shows its metrics and its verdict.",
        )


class ModelExists(Conflict):
    slug = "model-exists"
    title = "The model exists already"


class PromotionRefused(Conflict):
    """The gate's answer. reasons: whole sentences."""

    slug = "promotion-refused"
    title = "The model does not pass the gate"

    def __init__(self, ref: str, alias: str, reasons: tuple[str, ...]) -> None:
        super().__init__(
            f"{ref} does not become {ref.partition(':')[0]}@{alias}.",
            f"imgq models promote {ref} --force does it all the same, and is recorded.",
        )
        self.reasons = reasons


class NothingToRollBack(Conflict):
    slug = "nothing-to-roll-back"
    title = "There is no version to go back to"

    def __init__(self, name: str, alias: str) -> None:
        super().__init__(
            f"No earlier version of {name}@{alias} is there to go back to.",
            f"imgq models show {name} lists its history; imgq models promote chooses any version.",
        )


class VersionInUse(Conflict):
    """reasons: whole sentences, one for each use."""

    slug = "version-in-use"
    title = "Something needs the model's version"

    def __init__(self, ref: str, reasons: tuple[str, ...]) -> None:
        super().__init__(f"{ref} cannot be deleted: something needs it.")
        self.reasons = reasons


class ExportUnavailable(Conflict):
    slug = "export-unavailable"
    title = "The model is not there in that format"

    def __init__(self, ref: str, form: str, why: str, hint: str) -> None:
        super().__init__(f"{ref} is not there as {form}: {why}.", hint)


class IdempotencyInFlight(Conflict):
    slug = "idempotency-in-flight"
    title = "The first request with this key is still running"

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is being worked on.", "Ask again in a second."
        )


class LeaseLost(Conflict):
    """The claim went to somebody else, or the job was cancelled: drop what was computed."""

    slug = "lease-lost"
    title = "The claim was lost"

    def __init__(self, what: str) -> None:
        super().__init__(f"The claim on {what} was lost; its results are dropped.")


class KeyInvalid(ImgqError):
    slug = "key-invalid"
    title = "The API key is not accepted"

    def __init__(self, why: str = "is not known") -> None:
        super().__init__(f"The API key {why}.", "imgq keys create makes a new one.")


class Unavailable(ImgqError):
    slug = "unavailable"
    title = "The service is not ready"


class DatabaseUnavailable(Unavailable):
    slug = "database-unavailable"
    title = "The database does not answer"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The database does not answer: {why}.",
            "Start Postgres and ask again; no job is lost.",
        )


class SchemaOutdated(Unavailable):
    slug = "schema-outdated"
    title = "The database has another schema"

    def __init__(self, found: str | None, wanted: str) -> None:
        found_text = f"revision {found}" if found else "no imgq tables"
        super().__init__(
            f"The database has {found_text}, this imgq needs revision {wanted}.",
            "imgq db upgrade",
        )
