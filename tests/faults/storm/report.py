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
from tests.faults.storm.recovery import Recovery, percentile
from tests.faults.storm.storming import Struck

MOST_PROBLEMS = 20
#: Where a page has room for a report.
BEGIN, END = "<!-- storm -->", "<!-- end of storm -->"
PACKAGES = ("imgq", "celery", "kombu", "billiard", "redis", "SQLAlchemy", "psycopg2-binary")


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a report is made of.

    asked: how many faults there were to be. seconds: from the first fault to the last. lacks: what
    this machine does not let a storm do, with the reason.
    """

    seed: int
    asked: int
    seconds: float
    interrupted: bool
    lacks: Mapping[Kind, str]
    struck: Sequence[Struck]
    verdict: Verdict
    recoveries: Sequence[Recovery]
    events: Mapping[str, int]
    starts: Mapping[str, int]
    servers: str
    chunks_again: int
    memory_kills: int

    @property
    def is_clean(self) -> bool:
        return self.verdict.is_clean and len(self.struck) >= self.asked

    def recovered(self, *, alone: bool = False) -> list[float]:
        """Return all times to recovery, or those of faults that nothing followed meanwhile."""
        return sorted(each.seconds for each in self.recoveries if each.alone or not alone)


def table(outcome: Outcome) -> str:
    """Return the faults by kind, as Markdown."""
    counts = Counter(each.fault.kind for each in outcome.struck)
    lines = ["| fault | done | recovery p50 | p99 | longest |", "|---|--:|--:|--:|--:|"]
    for kind in Kind:
        times = sorted(each.seconds for each in outcome.recoveries if each.kind is kind)
        if counts[kind]:
            lines.append(_line(kind, counts[kind], times))
        elif kind in outcome.lacks:
            lines.append(f"| {kind} | left out: {outcome.lacks[kind]} | | | |")
    lines.append(_line("all", sum(counts.values()), outcome.recovered()))
    alone = outcome.recovered(alone=True)
    lines.append(_line("… recovered from before the next that disrupts", len(alone), alone))
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
            f" {rate:.2f} a second{'; interrupted' if outcome.interrupted else ''}.",
            f"Jobs: {verdict.succeeded:,} succeeded, {verdict.cancelled:,} cancelled;"
            f" {verdict.trained:,} trainings registered, {verdict.no_room:,} ended for want of"
            f" disk. {outcome.chunks_again:,} chunks were claimed more than once.",
            f"Refused by their token: {events['results_dropped']:,} results that came too late,"
            f" {events['listing_lost']:,} listings. Processes started:"
            f" {', '.join(f'{name} {count:,}' for name, count in sorted(outcome.starts.items()))}."
            f" Killed by the kernel for want of memory: {outcome.memory_kills:,}.",
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
    verdict, done = outcome.verdict, len(outcome.struck)
    broken_off = f"interrupted before {outcome.asked} · " if outcome.interrupted else ""
    return (
        f"{broken_off}faults {done} · pictures {verdict.pictures} · lost {verdict.lost}"
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
