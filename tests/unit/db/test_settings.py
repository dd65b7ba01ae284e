"""Where settings come from, and which of them win."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from imgq_db.setting_origins import SettingOrigin, mask_password, setting_origins
from imgq_db.settings import (
    Settings,
    SettingsFileInvalid,
    load_settings,
    settings_or_exit,
)

pytestmark = pytest.mark.usefixtures("config_home")
URL = "postgresql+psycopg2://"


def secret_file(folder: Path, name: str, value: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(value)
    return folder


def test_flag_beats_environment_beats_toml_beats_default(
    config_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [load_settings().port]
    (config_home / "config.toml").write_text("port = 1001")
    seen.append(load_settings().port)
    Path("imgq.toml").write_text("port = 1002")
    seen.append(load_settings().port)
    monkeypatch.setenv("IMGQ_PORT", "1003")
    seen.append(load_settings().port)
    seen.append(load_settings(port=1004, host=None).port)
    assert seen == [8765, 1001, 1002, 1003, 1004]


def test_the_database_url_obeys_the_same_order(
    config_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config_home / "config.toml").write_text('database_url = "postgresql://user.toml/d"')
    seen = [load_settings().database_url]
    Path("imgq.toml").write_text('database_url = "postgresql://near.toml/d"')
    seen.append(load_settings().database_url)
    monkeypatch.setenv("DATABASE_URL", "postgresql://plain.env/d")
    seen.append(load_settings().database_url)
    monkeypatch.setenv("IMGQ_DATABASE_URL", "postgresql://imgq.env/d")
    seen.append(load_settings().database_url)
    seen.append(load_settings(database_url="postgresql://flag/d").database_url)
    hosts = ["user.toml", "near.toml", "plain.env", "imgq.env", "flag"]
    assert seen == [f"{URL}{host}/d" for host in hosts]


def test_each_toml_file_gives_what_the_stronger_one_does_not(config_home: Path) -> None:
    (config_home / "config.toml").write_text('port = 1001\nhost = "::1"')
    Path("imgq.toml").write_text("port = 1002")
    settings = load_settings()
    assert (settings.port, settings.host) == (1002, "::1")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_any_postgres_scheme_means_the_installed_driver(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://u:p@h/d")
    assert load_settings().database_url == f"{URL}u:p@h/d"


@pytest.mark.parametrize("name", ["imgq_database_url", "database_url"])
def test_secret_files_are_read_and_the_environment_beats_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = secret_file(tmp_path / "secrets", name, "postgresql://secret/d\n")
    secret_file(folder, "imgq_bootstrap_key", "imgq_key")
    monkeypatch.setenv("IMGQ_SECRETS_DIR", str(folder))
    settings = load_settings()
    assert settings.database_url == f"{URL}secret/d"
    assert settings.bootstrap_key is not None
    assert settings.bootstrap_key.get_secret_value() == "imgq_key"
    monkeypatch.setenv("IMGQ_DATABASE_URL", "postgresql://env/d")
    assert load_settings().database_url == f"{URL}env/d"


def test_roots_are_read_from_a_variable_and_from_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"photos": Path("/data/photos"), "scans-2": Path("/mnt/a=b")}
    Path("imgq.toml").write_text('[roots]\nphotos = "/data/photos"\nscans-2 = "/mnt/a=b"')
    assert load_settings().roots == wanted
    monkeypatch.setenv("IMGQ_ROOTS", " photos = /data/photos , scans-2=/mnt/a=b ,")
    assert load_settings().roots == wanted
    monkeypatch.setenv("IMGQ_ROOTS", "")
    assert load_settings().roots == {}


@pytest.mark.parametrize(
    "text", ["photos", "photos=", "=/data", "a/b=/data", "file:=/data", "photos=data", "..=/data"]
)
def test_a_malformed_root_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGQ_ROOTS", text)
    with pytest.raises(ValidationError):
        load_settings()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("prot = 1", "has an unknown setting, 'prot'. Did you mean port?"),
        ("IMGQ_PORT = 1", "has an unknown setting, 'IMGQ_PORT'. Did you mean port?"),
        ("[xyzzy]\na = 1", "has an unknown setting, 'xyzzy'."),
    ],
)
def test_an_unknown_name_in_a_file_is_refused(config_home: Path, text: str, what: str) -> None:
    file = config_home / "config.toml"
    file.write_text(text)
    with pytest.raises(SettingsFileInvalid) as caught:
        load_settings()
    assert str(caught.value) == f"The settings file {file} {what}"


@pytest.mark.parametrize("content", [b"port = ", b"= 1", b'host = "\xff"'])
def test_a_file_that_is_no_toml_is_named(config_home: Path, content: bytes) -> None:
    file = config_home / "config.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsFileInvalid) as caught:
        load_settings()
    assert str(caught.value).startswith(f"The settings file {file} is not TOML: ")


@pytest.mark.parametrize("name", ["IMGQ_LEASE_SECONDS", "IMGQ_CHUNK_SIZE", "IMGQ_PORT"])
def test_a_setting_of_zero_that_would_stop_work_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "0")
    with pytest.raises(ValidationError):
        load_settings()


def test_origins_name_the_place_that_decided(
    config_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = secret_file(tmp_path / "secrets", "imgq_api_key", "imgq_0123_secret")
    monkeypatch.setenv("IMGQ_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hush@h/d")
    monkeypatch.setenv("IMGQ_PORT", "1003")
    Path("imgq.toml").write_text("port = 1002\nbatch_size = 8")
    (config_home / "config.toml").write_text("batch_size = 4\nchunk_size = 4")
    found = {origin.name: origin for origin in setting_origins()}
    assert [
        found[n] for n in ("database_url", "api_key", "port", "batch_size", "chunk_size", "host")
    ] == [
        SettingOrigin("database_url", f"{URL}u:***@h/d", "environment"),
        SettingOrigin("api_key", "**********", str(secrets)),
        SettingOrigin("port", "1003", "environment"),
        SettingOrigin("batch_size", "8", "imgq.toml"),
        SettingOrigin("chunk_size", "4", str(config_home / "config.toml")),
        SettingOrigin("host", "127.0.0.1", "default"),
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://u:p@ss:w@h/d", "postgresql://u:***@h/d"),
        ("redis://:p@h:6379/0", "redis://:***@h:6379/0"),
        ("postgresql://h/d?user=u&password=p%40w&x=1", "postgresql://h/d?user=u&password=***&x=1"),
    ],
)
def test_a_password_in_a_url_is_masked(url: str, shown: str) -> None:
    assert mask_password(url) == shown


def test_settings_never_change_and_never_print_a_key() -> None:
    settings = load_settings(api_key="imgq_hush", bootstrap_key="imgq_hush")
    assert "imgq_hush" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
    assert Settings.model_fields["data_dir"].get_default(call_default_factory=True).name == "data"


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_process_with_a_bad_setting_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMGQ_PORT", "99999")
    with pytest.raises(SystemExit, match="2"):
        settings_or_exit()
    assert capsys.readouterr().err.startswith("Error: The setting port cannot be used: ")
