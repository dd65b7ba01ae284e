"""What docker-compose.yml promises, read from the file itself."""

import re
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgq_db.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = ("migrate", "api", "worker", "worker-gpu", "trainer", "reconciler", "imgq")
RUNNING = sorted(set(SERVICES) - {"migrate", "imgq"})
HEALTHY, COMPLETED = "service_healthy", "service_completed_successfully"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    _make_secrets(folder)
    return folder


def _make_secrets(folder: Path) -> None:
    subprocess.run(["sh", ROOT / "docker/make-secrets.sh", folder], check=True, capture_output=True)


def _environment(name: str) -> dict[str, Any]:
    return dict(SERVICES[name].get("environment", {}))


def _secrets_of(service: dict[str, Any]) -> list[str]:
    return [use["source"] if isinstance(use, dict) else use for use in service["secrets"]]


def _names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def test_the_services_are_these() -> None:
    assert set(SERVICES) == {"postgres", "redis", *OWN}


def test_only_the_api_is_published_and_only_on_loopback() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert ports == {"api": ["127.0.0.1:${IMGQ_PORT:-8765}:8765"]}


@pytest.mark.parametrize("name", SERVICES)
def test_only_the_api_has_a_way_out_of_the_backend(name: str) -> None:
    wanted = ["backend", "frontend"] if name == "api" else ["backend"]

    assert SERVICES[name]["networks"] == wanted
    assert COMPOSE["networks"]["backend"] == {"internal": True}


@pytest.mark.parametrize("name", SERVICES)
def test_no_name_is_fixed_so_that_every_service_can_be_scaled(name: str) -> None:
    assert not {"container_name", "hostname"} & set(SERVICES[name])


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert (service["read_only"], service["init"]) == (True, True)
    assert "privileged" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_is_root(name: str) -> None:
    wanted = {"postgres": "postgres", "redis": "valkey"}.get(name, "10001:10001")

    assert SERVICES[name]["user"] == wanted


@pytest.mark.parametrize("name", RUNNING)
def test_what_runs_on_has_a_healthcheck_and_comes_back(name: str) -> None:
    assert {"test", "interval", "timeout", "retries"} <= set(SERVICES[name]["healthcheck"])
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", RUNNING)
def test_what_runs_on_has_a_memory_limit(name: str) -> None:
    assert re.search(r"\d[gm]\}?$", SERVICES[name]["mem_limit"])


def test_migrations_wait_for_postgres_and_run_once() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": HEALTHY}}
    assert SERVICES["migrate"]["restart"] == "no"


def test_the_command_line_starts_only_when_it_is_asked_for() -> None:
    service = SERVICES["imgq"]

    assert (service["profiles"], service["restart"]) == (["cli"], "no")
    assert {"source": "imgq_bootstrap_key", "target": "imgq_api_key"} in service["secrets"]


@pytest.mark.parametrize("name", ["api", "worker", "worker-gpu", "trainer", "reconciler"])
def test_processes_wait_for_the_migrations(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": COMPLETED}


def test_the_api_starts_without_redis() -> None:
    assert "redis" not in SERVICES["api"]["depends_on"]


def test_a_worker_may_take_longer_to_stop_than_its_loop_lasts() -> None:
    workers = ("worker", "worker-gpu", "trainer")
    grace = {SERVICES[name]["stop_grace_period"] for name in workers}

    assert grace == {"40s"}
    assert Settings.model_fields["loop_seconds"].default < 40
    assert Settings.model_fields["train_stop_seconds"].default < 40


def test_only_the_gpu_worker_asks_for_a_gpu_and_only_in_its_profile() -> None:
    devices = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]

    assert devices == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]
    assert _environment("worker-gpu")["IMGQ_DEVICE"] == "cuda"
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    assert [name for name in SERVICES if "deploy" in SERVICES[name]] == ["worker-gpu"]


def test_pictures_are_mounted_read_only() -> None:
    mounts = [m for name in OWN for m in SERVICES[name].get("volumes", []) if isinstance(m, dict)]

    assert [(m["target"], m["read_only"]) for m in mounts] == [("/photos", True)] * 3


def test_api_and_workers_share_one_data_directory() -> None:
    for name in ("api", "worker", "worker-gpu", "trainer"):
        assert "data:/var/lib/imgq" in SERVICES[name]["volumes"]
    assert "IMGQ_DATA_DIR=/var/lib/imgq" in (ROOT / "docker/Dockerfile").read_text()


def test_postgres_18_keeps_its_data_in_the_named_volume() -> None:
    assert "postgres:/var/lib/postgresql" in SERVICES["postgres"]["volumes"]


def test_passwords_are_files_and_never_in_the_environment() -> None:
    secret_words = re.compile(r"PASSWORD|_KEY|_URL|SECRET|TOKEN")
    named = {
        (name, variable, value)
        for name in SERVICES
        for variable, value in _environment(name).items()
        if secret_words.search(variable)
    }

    assert {variable for _, variable, _ in named} == {
        "POSTGRES_PASSWORD_FILE",
        "IMGQ_SECRETS_DIR",
    }
    assert all(str(value).startswith("/run/secrets") for _, _, value in named)


def test_every_secret_is_made_by_the_script_and_handed_to_someone(secrets: Path) -> None:
    files = {name: entry["file"] for name, entry in COMPOSE["secrets"].items()}

    assert files == {name: f"./secrets/{name}" for name in _names(secrets)}
    assert set(files) == {name for service in SERVICES.values() for name in _secrets_of(service)}


def test_secrets_are_closed_to_others_by_their_folder(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets.iterdir()} == {0o444}


def test_secrets_that_are_there_are_never_changed(secrets: Path) -> None:
    before = {file.name: file.read_text() for file in secrets.iterdir()}

    _make_secrets(secrets)

    assert {file.name: file.read_text() for file in secrets.iterdir()} == before


def test_two_installations_share_no_secret(secrets: Path, tmp_path: Path) -> None:
    _make_secrets(tmp_path / "other")

    for file in secrets.iterdir():
        assert file.read_text() != (tmp_path / "other" / file.name).read_text()


def test_settings_read_the_secret_files(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("IMGQ_DATABASE_URL", "DATABASE_URL", "IMGQ_REDIS_URL", "REDIS_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("IMGQ_SECRETS_DIR", str(secrets))

    settings = load_settings()

    password = (secrets / "database_password").read_text().strip()
    assert settings.database_url == f"postgresql+psycopg2://imgq:{password}@postgres:5432/imgq"
    assert settings.redis_url == (secrets / "imgq_redis_url").read_text().strip()
    assert settings.bootstrap_key is not None


def test_git_and_the_build_never_see_secrets() -> None:
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_images_install_only_locked_versions_with_hashes() -> None:
    locked = set(_pins("lock.txt"))

    for name in ("api.txt", "worker.txt", "build.txt"):
        assert set(_pins(name)) <= locked
    installs = re.findall(r"install (?:(?!install).)*?-r /requirements.txt", _dockerfile(), re.S)
    assert len(installs) == 3
    assert all("--require-hashes" in install for install in installs)


def test_images_are_tagged_with_the_version_that_they_hold() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tags = {service["image"] for service in SERVICES.values() if "build" in service}

    assert tags == {f"imgq-{name}:${{IMGQ_VERSION:-{version}}}" for name in ("api", "worker")}
    assert set(re.findall(r"ARG VERSION=(\S+)", _dockerfile())) == {version}


def test_the_api_image_gets_no_torch() -> None:
    assert not [pin for pin in _pins("api.txt") if re.match(r"torch|nvidia|timm|triton", pin)]
    assert [pin for pin in _pins("worker.txt") if pin.startswith("torch==")]


def _dockerfile() -> str:
    return (ROOT / "docker/Dockerfile").read_text()


def _pins(name: str) -> list[str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [line.split(" ")[0] for line in lines if re.match(r"[a-z0-9].*==", line)]
