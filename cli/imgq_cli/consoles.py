"""A console that shows what would move a cursor or turn the text, and never sends it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from imgq_cli.terminal import printable_lines


class SafeConsole(Console):
    """Rich's console: only what Rich itself means to do to the terminal is done to it."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render to segments whose text is harmless."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)
