"""Logs of every server process: lines on a terminal, JSON elsewhere, always to stderr."""

import logging
import re
import sys

import structlog

from imgq_db.settings import Settings

#: An API key's text; what is left of it names the key and opens nothing.
_KEY = re.compile(r"(imgq_[A-Za-z0-9]{8,16}_)[A-Za-z0-9_-]{32,128}")
_EXCEPTION = "exception"


def configure_logs(settings: Settings, *, process: str) -> None:
    """Set up logging of this process. No name in it can forge a line or move a cursor."""
    as_json = not sys.stderr.isatty() if settings.log_json is None else settings.log_json
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )

    def name_process(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        # Not a context variable: threads of a server do not inherit those.
        event["process"] = process
        return event

    shared: list[structlog.typing.Processor] = [
        name_process,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                harmless,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for chatty in ("alembic", "multiprocessing"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def harmless(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Return an event without the secrets of API keys, and with line ends only in tracebacks.

    structlog's own lines keep an escape sequence as it is, in any text that holds no space.
    """
    return {name: _harmless(value, name) for name, value in event.items()}


def _harmless(value: object, name: str) -> object:
    if not isinstance(value, str):
        return value
    lines = value.split("\n") if name == _EXCEPTION else [value]
    return _KEY.sub(r"\1…", "\n".join(map(_printable, lines)))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()
