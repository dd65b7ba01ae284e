"""The wheel, installed without extras into an environment of its own."""

import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
MIGRATIONS = ROOT / "db" / "imgq_db" / "migrations" / "versions"


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it declares, and nothing else: no extra, no torch.

    The dependencies are linked from this environment, so that no registry is asked again.
    """
    folder = tmp_path_factory.mktemp("light")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("imgq-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    install = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    for needed in declared("imgq"):
        link(needed, packages)
    return python


def declared(name: str) -> Iterator[Distribution]:
    """Yield every distribution that one needs without extras, but not itself."""
    seen, waiting = {name}, [(name, "")]
    while waiting:
        current, extra = waiting.pop()
        for text in distribution(current).requires or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting.extend((needed.name, each) for each in needed.extras)
                if needed.name not in seen:
                    seen.add(needed.name)
                    waiting.append((needed.name, ""))
                    yield distribution(needed.name)


def link(installed: Distribution, packages: Path) -> None:
    """Make a distribution's modules importable from another site-packages."""
    tops = {file.parts[0] for file in installed.files or [] if file.parts[0] != ".."}
    for top in tops - {"__pycache__"}:
        target = packages / top
        if not target.exists():
            target.symlink_to(Path(str(installed.locate_file(top))))


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-I", *arguments], capture_output=True, text=True, check=False, cwd="/"
    )


def test_the_help_works_without_extras(light: Path) -> None:
    imgq = light.with_name("imgq")
    done = subprocess.run([str(imgq), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "submit-folder" in done.stdout


def test_the_api_starts_without_torch(light: Path) -> None:
    code = "import imgq_api.app, importlib.util as u; assert u.find_spec('torch') is None"
    assert run(light, "-c", code).returncode == 0


def test_a_worker_without_torch_says_what_to_install(light: Path) -> None:
    done = run(light, "-m", "imgq_workers", "worker")
    assert (done.returncode, "imgq[worker]" in done.stderr) == (1, True)


def test_the_migrations_are_in_the_wheel(light: Path) -> None:
    done = run(light, "-c", "from imgq_db.migrate import head_revision; print(head_revision())")
    newest = max(path.name for path in MIGRATIONS.glob("0*.py"))
    assert done.stdout.strip() == newest.partition("_")[0], done.stderr
