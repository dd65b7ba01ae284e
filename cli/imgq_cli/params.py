"""Values that options take: durations, tags and failure budgets."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import rich_click as click

from imgq_cli.formats import count

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_TAG_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_BUDGET = re.compile(r"\d+|\d+(\.\d+)?%")


class Duration(click.ParamType[float]):
    """A duration such as 90, 90s, 30m, 2h or 1h30m; becomes seconds.

    least, most: seconds.
    """

    name = "duration"

    def __init__(self, *, least: float = 0, most: float = math.inf) -> None:
        self._least, self._most = least, most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        if isinstance(value, int | float):
            return float(value)
        text = str(value).strip().lower()
        parts = _DURATION.findall(text)
        if not parts or "".join(amount + unit for amount, unit in parts) != text:
            self.fail(f"{value!r} is not a duration such as 90s, 30m or 2h.", param, ctx)
        seconds = sum(float(amount) * UNIT_SECONDS[unit or "s"] for amount, unit in parts)
        if seconds < self._least:
            self.fail(f"it must be at least {count(self._least, 'second')}.", param, ctx)
        if seconds > self._most:
            self.fail(f"it must be at most {count(self._most, 'second')}.", param, ctx)
        return seconds


class Tag(click.ParamType[tuple[str, str]]):
    """A tag k=v; becomes a pair."""

    name = "k=v"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the key and the value."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not a tag such as camera=north.", param, ctx)
        if not _TAG_KEY.fullmatch(key):
            self.fail(
                f"{key!r} cannot be a tag's key: at most 63 of a-z A-Z 0-9 . _ / -, the first "
                "a letter or digit. The value may be any text.",
                param,
                ctx,
            )
        return key, rest


class FailureBudget(click.ParamType[str]):
    """How many pictures may fail: a count, or a share such as 5%."""

    name = "n|p%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as the server takes it."""
        text = str(value).replace(" ", "")
        share = float(text[:-1]) if _BUDGET.fullmatch(text) and text.endswith("%") else 0.0
        if not _BUDGET.fullmatch(text) or share > 100:
            self.fail(
                f"{value!r} is neither a count such as 12 nor a share such as 5%.", param, ctx
            )
        return text


class WholeOrAuto(click.ParamType[int | None]):
    """A whole number in a range, or auto; becomes None for auto."""

    name = "n|auto"

    def __init__(self, least: int, most: int) -> None:
        self._range = click.IntRange(least, most)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return the number."""
        if str(value).lower() == "auto":
            return None
        return self._range.convert(value, param, ctx)


class Place(click.Path):
    """The path of a file or a folder; an empty one, which pathlib takes for `.`, is refused."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the Path."""
        if value == "":
            self.fail("it is empty. Is a variable that should hold it not set?", param, ctx)
        return super().convert(value, param, ctx)
