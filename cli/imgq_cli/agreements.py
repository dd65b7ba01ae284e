"""How far int8 kept the labels of exact arithmetic, in words."""

from __future__ import annotations

from imgq_cli.formats import number
from imgq_cli.shapes import Agreement


def agreement_sentence(found: Agreement) -> str:
    """Return `int8 agrees with exact on 251 of 256 pictures of this folder, and on all 93 …`."""
    if not found["pictures"]:
        return "No picture of this folder was there to compare int8 with exact on."
    pictures = f"{_of(found['same'], found['pictures'])} pictures of this folder"
    if not found["sure"]:
        return f"int8 agrees with exact on {pictures}; of none was exact sure (above 0.5)."
    sure = _of(found["same_sure"], found["sure"])
    return f"int8 agrees with exact on {pictures}, and on {sure} that exact is sure of (above 0.5)."


def _of(some: int, every: int) -> str:
    return f"all {number(every)}" if some == every else f"{number(some)} of {number(every)}"
