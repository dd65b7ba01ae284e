"""How a model stands after it was judged, in words that need no knowledge of figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgq_cli.terminal import BAD, GOOD, WARNING

FAILED = "failed"
STYLE_OF_STANDING = {"sound": GOOD, "weak": WARNING, FAILED: BAD}
#: The headings of the report say the same.
HEADINGS = {
    "sound": "Nothing speaks against this model",
    "weak": "Usable, with the limits below",
    FAILED: "Do not use this model",
}
#: The same where no verdict follows.
HEADINGS_ALONE = {**HEADINGS, "weak": "Usable, with limits"}


def standing_of(metrics: Mapping[str, Any]) -> str | None:
    """Return sound, weak or failed; None: nobody judged the model, or not in these words."""
    standing = str(metrics.get("standing"))
    return standing if standing in HEADINGS else None
