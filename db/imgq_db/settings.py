"""Every setting of every process, in one typed class: flag > environment > TOML > default."""

import os
import sys
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from imgq_db.leases import LONGEST_SECONDS


def default_home() -> Path:
    """Return the local stack's directory: readable by others' servers only where root owns it."""
    if os.environ.get("IMGQ_HOME"):
        return Path(os.environ["IMGQ_HOME"])
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/imgq")
    return Path(platformdirs.user_data_dir("imgq"))


def toml_files() -> tuple[Path, ...]:
    """Return the configuration files that are read, the strongest first."""
    return Path("imgq.toml"), Path(platformdirs.user_config_dir("imgq")) / "config.toml"


class SettingsFileInvalid(ValueError):
    """A settings file that cannot be used; the sentence names it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"The settings file {path.absolute()} {what}")


class Settings(BaseSettings):
    """Settings of one process. Names in the environment start with IMGQ_."""

    model_config = SettingsConfigDict(
        env_prefix="IMGQ_", frozen=True, extra="ignore", populate_by_name=True
    )

    database_url: str = Field(
        "postgresql://imgq@127.0.0.1:5432/imgq",
        validation_alias=AliasChoices("IMGQ_DATABASE_URL", "DATABASE_URL"),
        description="Postgres, 14 or newer.",
    )
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        validation_alias=AliasChoices("IMGQ_REDIS_URL", "REDIS_URL"),
        description="Redis 6.2 or newer, or Valkey. Carries bells only, never work.",
    )
    instance: str = Field(
        "imgq",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Prefix of the keys in Redis: one for each installation that shares a server.",
    )
    home: Path = Field(default_factory=default_home, description="Directory of the local stack.")
    data_dir: Path = Field(
        default_factory=lambda: default_home() / "data",
        description="Artifacts; one directory that API and workers share.",
    )

    server: str | None = Field(None, description="Base URL that the command line talks to.")
    api_key: SecretStr | None = Field(None, description="Key that the command line sends.")

    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(8765, ge=1, le=65535, description="Port that the API listens on.")
    insecure: bool = Field(False, description="No keys at all. Only on a loopback address.")
    bootstrap_key: SecretStr | None = Field(
        None, description="An API key with every scope, made known at start."
    )

    roots: Annotated[dict[str, Path], NoDecode] = Field(
        default_factory=dict,
        description="Folders that jobs may name: photos=/data/photos,scans=/mnt/scans",
    )
    local_files: bool = Field(
        False, description="Allow file:///any/path sources: only where all share one disk."
    )
    max_pixels: int = Field(100_000_000, ge=1, description="Larger pictures are too_large.")
    max_file_bytes: int = Field(1 << 30, ge=1, description="Larger files are too_large.")

    cache_rows: int = Field(
        20_000_000, ge=0, description="Predictions kept for later jobs, about. 0: none."
    )
    known_file_rows: int = Field(
        20_000_000, ge=0, description="Files known by their stamp, about. 0: each is read again."
    )

    lease_seconds: float = Field(
        30, gt=0, le=LONGEST_SECONDS, description="A worker's claim on a chunk lasts so long."
    )
    beat_seconds: float = Field(5, gt=0, description="A claim is renewed so often.")
    poll_seconds: float = Field(1, gt=0, description="A worker looks for cancel so often.")
    train_lease_seconds: float = Field(
        120,
        gt=0,
        le=LONGEST_SECONDS,
        description="A supervisor's claim on a training lasts so long.",
    )
    train_beat_seconds: float = Field(
        15, gt=0, description="A claim on a training is renewed so often."
    )
    train_silence_seconds: float = Field(
        1800, gt=0, description="A training that says nothing for so long is killed and resumed."
    )
    train_stop_seconds: float = Field(
        20, gt=0, description="A training that must stop gets so long to write a checkpoint."
    )
    train_attempts: int = Field(
        3, ge=1, description="Attempts in a row without a new checkpoint that end a train job."
    )
    train_devices: int = Field(
        1,
        ge=1,
        le=64,
        description="A training takes at most so many free GPUs; on a CPU, so many processes.",
    )
    test_picture_bytes: int = Field(
        2 << 30,
        ge=0,
        description="A test split of so many bytes at most is kept for comparing later models.",
    )
    reconcile_seconds: float = Field(2, gt=0, description="Pause between two reconciler rounds.")
    loop_seconds: float = Field(20, gt=0, description="A worker's loop ends after so long.")
    chunk_size: int = Field(256, ge=1, le=4096, description="Images in a chunk.")
    batch_size: int = Field(
        32, ge=1, le=1024, description="Files that a thread takes at once, at most."
    )
    decode_threads: int | None = Field(
        None,
        ge=1,
        description="Threads that each read, decode and compute. Default: IMGQ_TORCH_THREADS.",
    )
    decode_seconds: float = Field(
        60,
        gt=0,
        description="A picture that is read or decoded for longer ends the worker's process: it is"
        " then tried alone, and fails as read_timeout or decode_timeout if it takes as long again.",
    )
    load_seconds: float = Field(
        600,
        gt=0,
        description="A model that loads for longer ends the worker's process, as one that does not"
        " load.",
    )
    stall_seconds: float = Field(
        600,
        gt=0,
        description="A worker that holds chunks, and of which nothing moves for so long, is ended:"
        " that is a failure of its chunks.",
    )
    torch_threads: int | None = Field(
        None, ge=1, description="Cores that networks are computed on. Default: all that there are."
    )
    engine: Literal["auto", "openvino", "torch"] = Field(
        "auto", description="What computes networks. auto: OpenVINO on a CPU if it is installed."
    )
    device: str = Field(
        "auto",
        description="auto, cpu, cuda or cuda:N. cuda leases a GPU that no other worker has leased,"
        " auto too, or takes the CPU.",
    )
    gpu_decode: bool = Field(
        False, description="Decode JPEG files on the GPU, not in exact mode. Changes some labels."
    )

    log_level: str = Field("info", description="debug, info, warning or error.")
    log_json: bool | None = Field(None, description="Default: JSON unless on a terminal.")

    @field_validator("roots", mode="before")
    @classmethod
    def _split_roots(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if any(not name.strip() or not path.strip() for name, _, path in pairs):
            raise ValueError("write roots as NAME=/path,OTHER=/path")
        return {name.strip(): Path(path.strip()) for name, _, path in pairs}

    @field_validator("roots")
    @classmethod
    def _check_roots(cls, value: dict[str, Path]) -> dict[str, Path]:
        for name, path in value.items():
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"the root's name {name!r} may hold letters, digits, - and _ only")
            if not path.is_absolute():
                raise ValueError(f"the root {name} needs an absolute path, not {path}")
        return value

    @field_validator("database_url")
    @classmethod
    def _name_the_driver(cls, value: str) -> str:
        # SQLAlchemy 2.1 reads a bare postgresql:// as psycopg 3.
        for scheme in ("postgres://", "postgresql://", "postgresql+psycopg://"):
            if value.startswith(scheme):
                return "postgresql+psycopg2://" + value.removeprefix(scheme)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        tomls = (TomlFile(settings_cls, path) for path in toml_files())
        return init_settings, env_settings, file_secret_settings, *tomls


class TomlFile(TomlConfigSettingsSource):
    """One TOML file, in which every name is a setting's."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        path = Path(file_path)
        try:
            found = super()._read_file(file_path)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsFileInvalid(path, f"is not TOML: {error}.") from error
        for name in found:
            if name not in Settings.model_fields:
                raise SettingsFileInvalid(path, f"has an unknown setting, {name!r}{_near(name)}")
        return found


def _near(name: str) -> str:
    plain = name.lower().removeprefix("imgq_").replace("-", "_")
    near = get_close_matches(plain, Settings.model_fields, n=1)
    return f". Did you mean {near[0]}?" if near else "."


def load_settings(**flags: object) -> Settings:
    """Read the settings of this process.

    flags: values given on the command line; None means "not given".
    IMGQ_SECRETS_DIR names a directory with one file a setting (`imgq_database_url`, …).
    Raises pydantic.ValidationError, SettingsFileInvalid.
    """
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    secrets_dir = os.environ.get("IMGQ_SECRETS_DIR")
    if secrets_dir:
        given["_secrets_dir"] = secrets_dir
    return Settings(**given)


def settings_or_exit(**flags: object) -> Settings:
    """Read the settings of a process that begins; a bad one ends it with a sentence, status 2."""
    try:
        return load_settings(**flags)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        why = f"The setting {name} cannot be used: {first['msg']}."
    except (SettingsFileInvalid, OSError) as error:
        why = str(error)
    sys.stderr.write(f"Error: {why}\nTry:   imgq config show --origin\n")
    raise SystemExit(2)
