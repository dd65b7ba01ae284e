"""Where each setting of this process comes from, and how it may be shown."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgq_db.settings import Settings, TomlFile, load_settings, toml_files


@dataclass(frozen=True, slots=True)
class SettingOrigin:
    """One setting with its value as text (secrets masked) and where it came from."""

    name: str
    value: str
    origin: str


def setting_origins() -> tuple[SettingOrigin, ...]:
    """Return every setting with the place that decided it."""
    settings = load_settings()
    layers = list(_layers())
    return tuple(
        SettingOrigin(name, _shown(name, getattr(settings, name)), _origin(name, layers))
        for name in Settings.model_fields
    )


def _layers() -> Iterator[tuple[str, frozenset[str]]]:
    names = Settings.model_fields
    yield "environment", frozenset(n for n in names if _in_environment(n))
    secrets = Path(os.environ.get("IMGQ_SECRETS_DIR", "/nonexistent"))
    yield str(secrets), frozenset(n for n in names if (secrets / f"imgq_{n}").is_file())
    for path in toml_files():
        yield str(path), frozenset(TomlFile(Settings, path)())


def _in_environment(name: str) -> bool:
    plain = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}.get(name)
    known = {key.upper() for key in os.environ}
    return f"IMGQ_{name.upper()}" in known or (plain is not None and plain in known)


def _origin(name: str, layers: list[tuple[str, frozenset[str]]]) -> str:
    return next((place for place, names in layers if name in names), "default")


def _shown(name: str, value: object) -> str:
    if name in ("database_url", "redis_url"):
        return mask_password(str(value))
    return str(value)


def mask_password(url: str) -> str:
    """Return the URL with its password, if any, as ***."""
    url = re.sub(r"(?<=[?&]password=)[^&]*", "***", url)
    head, at, tail = url.rpartition("@")
    scheme, mark, user = head.partition("://")
    if not at or ":" not in user:
        return url
    return f"{scheme}{mark}{user.partition(':')[0]}:***@{tail}"
