"""`python -m imgq_db`: migrations, keys and checks, for the processes that operate imgq."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from imgq_db.engine import make_engine
from imgq_db.errors import DatabaseUnavailable, ImgqError
from imgq_db.keys import ApiKey, Scope, ensure_key, list_keys, mint_key, revoke_key
from imgq_db.migrate import check_revision, current_revision, upgrade
from imgq_db.settings import Settings, settings_or_exit
from imgq_db.verifying import verify_job

Command = Callable[[Engine, Settings, argparse.Namespace], Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its result goes to stdout as one JSON document."""
    parsed = _parser().parse_args(arguments)
    settings = settings_or_exit()
    engine = make_engine(settings, role="migrate")
    try:
        result = parsed.command(engine, settings, parsed)
    except OperationalError as error:
        return _complain(DatabaseUnavailable(str(error.orig).strip().splitlines()[0]))
    except ImgqError as error:
        return _complain(error)
    finally:
        engine.dispose()
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result.get("ok", True) else 1


def _complain(error: ImgqError) -> int:
    sys.stderr.write(f"Error: {error}\n")
    if error.hint:
        sys.stderr.write(f"Try:   {error.hint}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m imgq_db", description=__doc__)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("upgrade", help="apply migrations").set_defaults(command=_upgrade)
    commands.add_parser("check", help="compare the schema").set_defaults(command=_check)
    verify = commands.add_parser("verify", help="check a job's invariants")
    verify.add_argument("job", type=UUID)
    verify.set_defaults(command=_verify)
    keys = commands.add_parser("keys", help="API keys").add_subparsers(required=True)
    keys.add_parser("list").set_defaults(command=_list)
    keys.add_parser("ensure", help="make the key in IMGQ_BOOTSTRAP_KEY usable").set_defaults(
        command=_ensure
    )
    mint = keys.add_parser("mint")
    mint.add_argument("--name", required=True)
    mint.add_argument("--scope", action="append", choices=[*Scope], required=True)
    mint.set_defaults(command=_mint)
    revoke = keys.add_parser("revoke")
    revoke.add_argument("prefix")
    revoke.set_defaults(command=_revoke)
    return parser


def _upgrade(engine: Engine, _settings: Settings, _parsed: argparse.Namespace) -> Any:
    upgrade(engine)
    return {"revision": current_revision(engine)}


def _check(engine: Engine, _settings: Settings, _parsed: argparse.Namespace) -> Any:
    check_revision(engine)
    return {"revision": current_revision(engine)}


def _verify(engine: Engine, settings: Settings, parsed: argparse.Namespace) -> Any:
    checks = verify_job(engine, parsed.job, settings=settings)
    return {
        "ok": all(check.holds for check in checks),
        "job": str(parsed.job),
        "checks": [{"rule": c.rule, "violations": c.violations} for c in checks],
    }


def _list(engine: Engine, _settings: Settings, _parsed: argparse.Namespace) -> Any:
    return {"items": [_shown(key) for key in list_keys(engine)]}


def _ensure(engine: Engine, settings: Settings, _parsed: argparse.Namespace) -> Any:
    if settings.bootstrap_key is None:
        raise ImgqError("IMGQ_BOOTSTRAP_KEY is not set.", "Put a key there or in a secret file.")
    secret = settings.bootstrap_key.get_secret_value().strip()
    return _shown(ensure_key(engine, secret, name="bootstrap", scopes=Scope))


def _mint(engine: Engine, _settings: Settings, parsed: argparse.Namespace) -> Any:
    key, secret = mint_key(engine, name=parsed.name, scopes=map(Scope, parsed.scope))
    return {**_shown(key), "key": secret}


def _revoke(engine: Engine, _settings: Settings, parsed: argparse.Namespace) -> Any:
    return _shown(revoke_key(engine, parsed.prefix))


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "revoked": key.revoked_at is not None,
    }


if __name__ == "__main__":
    sys.exit(main())
