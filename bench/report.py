"""The figures of a run as Markdown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.peer_environment import PEERS, Peer
from bench.samples import Ratio, Record, cpu_ms, ratio, speed

START, END = "<!-- figures: written by make bench -->", "<!-- end of the figures -->"
#: imgq over the loop tuned by hand: the job alone, and the whole command
TARGET, TARGET_WHOLE = 0.95, 0.90
TARGET_OF_ROOFLINE = 0.93
TARGET_LARGE, TARGET_AGAIN = 2.5, 10.0
NAMES = {
    "timm": "timm, as its `inference.py` does",
    "ultralytics": "Ultralytics `predict`",
    "dataloader": "torchvision `DataLoader` loop",
    "huggingface": "Hugging Face pipeline",
    "ray": "Ray Data",
    "celery-tamed": "Celery, a picture a task, `OMP_NUM_THREADS=1`",
    "celery": "Celery, a picture a task, as it comes",
}
MIB = 1 << 20


def render(record: Record) -> str:
    """Return all tables that the record has samples for."""
    parts = (
        about(record),
        roofline_table(record),
        peers_table(record),
        other_table(record),
        agreement_table(record),
        skipped_list(record),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def write_between_marks(path: Path, text: str) -> None:
    """Put the figures into a page, in the place of the last ones."""
    page = path.read_text()
    before, _, rest = page.partition(START)
    _, mark, after = rest.partition(END)
    assert mark, f"{path} lacks the marks for the figures"
    path.write_text(f"{before}{START}\n\n{text}\n{END}{after}")


def about(record: Record) -> str:
    """Say what the figures depend on."""
    machine: dict[str, Any] = record.facts["machine"]
    versions: dict[str, str] = record.facts["versions"]
    rounds = len({sample.round for sample in record.samples})
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['date']}, {machine['cores']} cores of {machine['processor']}, "
        f"{machine['memory_gib']} GiB, {machine['system']}; {rounds} interleaved "
        f"round{'s' if rounds != 1 else ''}; load before: {machine['load_before']}.  \n{listed}."
    )


def roofline_table(record: Record) -> str:
    """Hold imgq against the loop that was tuned by hand."""
    rows = []
    for model, title in (("lite0", "EfficientNet-Lite0"), ("resnet18", "resnet18")):
        for precision in ("auto", "exact"):
            pair = f"imgq {model} {precision}", f"roofline {model} {precision}"
            rows.append(roofline_row(record, f"{title} {precision}", *pair, TARGET))
    whole = "imgq whole command", "roofline lite0 auto"
    title = "EfficientNet-Lite0 auto, the whole command"
    rows.append(roofline_row(record, title, *whole, TARGET_WHOLE))
    heads = ["500 x 375", "pictures", "imgq, images/s", "roofline, images/s", "imgq / roofline"]
    heads += ["at least", "CPU ms a picture: imgq", "roofline"]
    return table("imgq beside the roofline", heads, rows)


def roofline_row(
    record: Record, title: str, mine: str, theirs: str, target: float
) -> list[str] | None:
    """Return one row, None if it was not measured."""
    found = ratio(record, mine, theirs)
    if found is None:
        return None
    images = next(iter(record.of(mine).values())).images
    speeds = [f"{speed(record, what):.0f}" for what in (mine, theirs)]
    work = [f"{cpu_ms(record, what):.2f}" for what in (mine, theirs)]
    return [title, f"{images:,}", *speeds, str(found), f"{target:.2f}", *work]


def peers_table(record: Record) -> str:
    """Hold imgq against what one would run instead."""
    heads = ["resnet18, 500 x 375", "images/s", "imgq / it", "at least", "roofline / it"]
    heads += ["CPU ms a picture"]
    rows = [peer_row(record, peer) for peer in PEERS]
    return table("Beside what one would run instead", heads, rows)


def peer_row(record: Record, peer: Peer) -> list[str] | None:
    """Return one row, None if it was not measured."""
    found = ratio(record, "imgq resnet18 auto", peer.name)
    limit = ratio(record, "roofline resnet18 auto", peer.name)
    if found is None or limit is None:
        return None
    target = peer.target or TARGET_OF_ROOFLINE * limit.median
    return [
        NAMES[peer.name],
        f"{speed(record, peer.name):.1f}",
        str(found),
        f"{target:.2f}",
        str(limit),
        f"{cpu_ms(record, peer.name):.1f}",
    ]


def other_table(record: Record) -> str:
    """List the single figures."""
    rows = [
        ratio_row(
            "12 megapixels, Lite0 auto: imgq / a loop with plain Pillow",
            ratio(record, "imgq 12 MP", "plain Pillow 12 MP"),
            TARGET_LARGE,
        ),
        ratio_row(
            "12 megapixels, Lite0 auto: imgq / roofline",
            ratio(record, "imgq 12 MP", "roofline 12 MP"),
            None,
        ),
        ratio_row(
            f"an unchanged folder: second run / first run, whole command{cached_share(record)}",
            ratio(record, "second run", "first run"),
            TARGET_AGAIN,
        ),
        seconds_row(record, "six photos, submit to labels", 1.0),
        seconds_row(record, "six photos, submit to exit", None),
        *fact_rows(record),
    ]
    return table("More", ("what", "measured", "target"), rows)


def cached_share(record: Record) -> str:
    """Say how much of the second run was answered by the cache."""
    share = record.facts.get("cached_share")
    return "" if share is None else f" ({100 * share:.0f} % from the cache)"


def ratio_row(title: str, found: Ratio | None, target: float | None) -> list[str] | None:
    """Return a row for a ratio."""
    if found is None:
        return None
    return [title, f"{found} ×", f"≥ {target:g}" if target else ""]


def seconds_row(record: Record, what: str, target: float | None) -> list[str] | None:
    """Return a row for a time on a warm worker."""
    found = sorted(sample.seconds for sample in record.of(what).values())
    if not found:
        return None
    median = found[len(found) // 2]
    return [f"{what}, warm worker", f"{median:.2f} s", f"≤ {target:g} s" if target else ""]


def fact_rows(record: Record) -> list[list[str]]:
    """Return rows for what is found once a run."""
    facts, rows = record.facts, []
    if "workers_peak_bytes" in facts:
        peak = f"{facts['workers_peak_bytes'] / MIB:.0f} MiB"
        rows.append(["the worker's peak memory with Lite0", peak, "≤ 1,144 MiB"])
    for name, limit in (
        ("pixels 500x375 exact", ""),
        ("pixels 500x375 auto", ""),
        ("pixels 12 MP auto", "≤ 0.3"),
    ):
        if name in facts:
            title = f"mean distance from Pillow's pixels: {name.removeprefix('pixels ')}"
            rows.append([title, f"{facts[name]:.3f} of 255 levels", limit])
    if "idle_cpu_share" in facts:
        share = f"{100 * facts['idle_cpu_share']:.1f} % of a core"
        rows.append(["the whole stack with nothing to do", share, ""])
    return rows


def agreement_table(record: Record) -> str:
    """Say how many labels are those of Pillow and torch in fp32."""
    rows: list[list[str] | None] = []
    for precision, bands in record.facts.get("labels", {}).items():
        for band in bands:
            who = f"surer than {band['above']:g}" if band["above"] else "all"
            share = 100 * band["equal"] / band["pictures"] if band["pictures"] else 100.0
            rows.append([precision, who, f"{band['pictures']}", f"{share:.2f} %"])
    heads = ("Lite0", "pictures of which fp32 is", "pictures", "same label")
    return table("Labels beside Pillow and torch in fp32", heads, rows)


def skipped_list(record: Record) -> str:
    """Say what was left out, and why."""
    lines = [f"- {what}: {reason}" for what, reason in record.skipped.items()]
    return "\n".join(["### Left out", "", *lines]) if lines else ""


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str] | None]) -> str:
    """Return a Markdown table under a heading, nothing without rows."""
    kept = [row for row in rows if row is not None]
    if not kept:
        return ""
    lines = [heads, ["---"] * len(heads), *kept]
    return "\n".join([f"### {title}", "", *("| " + " | ".join(line) + " |" for line in lines)])
