"""When to start a dead child again."""

from dataclasses import dataclass

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
#: A child that lived so long has recovered: its earlier failures are forgotten.
RECOVERED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a child has died in a row."""

    failures: int = 0

    def after_death(self, lived_seconds: float) -> "Backoff":
        """Return the count with one more death."""
        return Backoff(1 if lived_seconds >= RECOVERED_SECONDS else self.failures + 1)

    @property
    def delay_seconds(self) -> float:
        """The pause before the next start: doubled each time, up to a cap."""
        doublings = min(max(self.failures - 1, 0), 30)
        return min(FIRST_DELAY_SECONDS * 2.0**doublings, LONGEST_DELAY_SECONDS)
