"""What a storm says at its end."""

import platform
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Engine, text
from tests.faults.storm.oracle import Verdict
from tests.faults.storm.plan import Kind
from tests.faults.storm.recovery import percentile
from tests.faults.storm.storming import Struck

MOST_PROBLEMS = 20
#: Where a page has room for a report.
BEGIN, END = "<!-- storm -->", "<!-- end of storm -->"
PACKAGES = ("imgq", "celery", "kombu", "billiard", "redis", "SQLAlchemy", "psycopg2-binary")


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a report is made of. seconds: from the first fault to the last."""

    seed: int
    seconds: float
    struck: Sequence[Struck]
    verdict: Verdict
    recoveries: Mapping[Kind, Sequence[float]]
    events: Mapping[str, int]
    starts: Mapping[str, int]
    servers: str
    chunks_again: int


def table(outcome: Outcome) -> str:
    """Return the faults by kind, as Markdown."""
    counts = Counter(each.fault.kind for each in outcome.struck)
    lines = ["| fault | count | recovery p50 | p99 | longest |", "|---|--:|--:|--:|--:|"]
    for kind in Kind:
        if counts[kind]:
            lines.append(_line(kind, counts[kind], outcome.recoveries.get(kind, ())))
    everything = sorted(each for found in outcome.recoveries.values() for each in found)
    lines.append(_line("all", sum(counts.values()), everything))
    return "\n".join(lines)


def _line(what: str, count: int, seconds: Sequence[float]) -> str:
    if not seconds:
        return f"| {what} | {count} | | | |"
    p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
    return f"| {what} | {count:,} | {p50:.2f} s | {p99:.2f} s | {seconds[-1]:.2f} s |"


def summary(outcome: Outcome) -> str:
    """Return the figures beside the table."""
    verdict, events = outcome.verdict, outcome.events
    rate = len(outcome.struck) / max(outcome.seconds, 1e-3)
    return "\n".join(
        [
            f"Seed {outcome.seed}: {len(outcome.struck):,} faults in {outcome.seconds:,.0f} s,"
            f" {rate:.2f} a second.",
            f"Jobs: {verdict.succeeded:,} succeeded, {verdict.cancelled:,} cancelled;"
            f" {verdict.trained:,} trainings registered. {outcome.chunks_again:,} chunks were"
            " claimed more than once.",
            f"Refused by their token: {events['results_dropped']:,} results that came too late,"
            f" {events['listing_lost']:,} listings. Processes started:"
            f" {', '.join(f'{name} {count:,}' for name, count in sorted(outcome.starts.items()))}.",
            f"{outcome.servers}; {versions()}.",
        ]
    )


def versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def server_versions(engine: Engine, redis_version: str) -> str:
    with engine.connect() as connection:
        postgres = connection.execute(text("SHOW server_version")).scalar_one()
    return f"Postgres {postgres}, Valkey or Redis {redis_version}"


def problems(verdict: Verdict) -> str:
    """Return the first problems, a line each."""
    shown = verdict.problems[:MOST_PROBLEMS]
    more = len(verdict.problems) - len(shown)
    return "\n".join([*shown, *([f"… and {more:,} more"] if more else [])])


def last_line(outcome: Outcome) -> str:
    """Return the line that a storm ends with."""
    verdict = outcome.verdict
    return (
        f"faults {len(outcome.struck)} · pictures {verdict.pictures} · lost {verdict.lost}"
        f" · doubled {verdict.doubled} · wrong {verdict.wrong}"
    )


def write_report(outcome: Outcome, page: Path) -> None:
    """Put the report in the place that a page has for it."""
    text_before, _, rest = page.read_text("utf-8").partition(f"{BEGIN}\n")
    _, end, text_after = rest.partition(END)
    if not end:
        raise ValueError(f"{page} has no place for the report between {BEGIN} and {END}")
    lines = textwrap.fill(summary(outcome).replace("\n", " "), 100)
    report = f"{table(outcome)}\n\n{lines}\n\n    {last_line(outcome)}\n"
    page.write_text(f"{text_before}{BEGIN}\n{report}{END}{text_after}", "utf-8")
