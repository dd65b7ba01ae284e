"""`python -m imgq_api` serves; `python -m imgq_api openapi` prints the contract."""

import json
import sys

from imgq_api.app import create_app
from imgq_api.openapi import document
from imgq_api.serving import serve
from imgq_db.errors import ImgqError
from imgq_db.settings import Settings, settings_or_exit


def main() -> None:
    """Run the command that the arguments name."""
    if sys.argv[1:] == ["openapi"]:
        contract = document(create_app(Settings(), ring=lambda _queue: True))
        sys.stdout.write(json.dumps(contract, indent=1, ensure_ascii=False) + "\n")
    elif sys.argv[1:]:
        sys.exit("usage: python -m imgq_api [openapi]")
    else:
        try:
            serve(settings_or_exit())
        except ImgqError as error:
            sys.exit(f"{error} {error.hint or ''}".strip())


if __name__ == "__main__":
    main()
