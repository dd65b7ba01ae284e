"""Print how many rows of an export have the right label."""

import csv
import sys
from pathlib import Path


def main() -> None:
    """Compare an export of imgq with a table of answers."""
    labels, answers = (Path(name) for name in sys.argv[1:])
    with labels.open(encoding="utf-8", newline="") as rows:
        given = {row["path"]: row["label"] for row in csv.DictReader(rows)}
    with answers.open(encoding="utf-8", newline="") as rows:
        right = {row["file"]: row["label"] for row in csv.DictReader(rows)}
    hits = sum(given.get(name) == label for name, label in right.items())
    sys.stdout.write(f"{hits} of {len(right)} new pictures have the right label.\n")


if __name__ == "__main__":
    main()
