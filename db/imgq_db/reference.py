"""`python -m imgq_db.reference` prints docs/settings.md."""

import sys
from typing import Any

from pydantic_core import PydanticUndefined

from imgq_db.settings import Settings

HEAD = """# Settings

Every process reads the same settings. A flag of the command line wins over the environment, that
over `./imgq.toml`, that over `config.toml` in the user's configuration folder, that over the
default. In TOML the names are written without the prefix, in lower case. `IMGQ_SECRETS_DIR` names
a folder with one file a setting (`imgq_database_url`, …), for passwords. `DATABASE_URL` and
`REDIS_URL` are understood too. `imgq config show --origin` tells what is in force and why.

| setting | default | meaning |
|---|---|---|
"""


def settings_reference() -> str:
    """Return the page."""
    rows = (
        f"| `IMGQ_{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    )
    return HEAD + "\n".join(rows) + "\n"


def _default(field: Any) -> str:
    if field.default_factory is not None:
        return {"home": "the user's data folder", "data_dir": "`data` in the home"}.get(
            _name(field), "empty"
        )
    if field.default in (None, PydanticUndefined):
        return "–"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _name(field: Any) -> str:
    return next(name for name, known in Settings.model_fields.items() if known is field)


if __name__ == "__main__":
    sys.stdout.write(settings_reference())
