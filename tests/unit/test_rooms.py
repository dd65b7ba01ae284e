"""What may be imported where, and what the documentation promises about it."""

import subprocess
import sys
from pathlib import Path

import pytest

from imgq_db.reference import settings_reference

ROOT = Path(__file__).parent.parent.parent
BLOCKED = "import sys; sys.modules.update(dict.fromkeys({names!r})); import {module}"


@pytest.mark.parametrize(
    "module",
    ["imgq_api.app", "imgq_cli.main", "imgq_db.tables", "imgq_db.queue", "imgq_workers.worker"],
)
def test_it_imports_where_torch_is_not_installed(module: str) -> None:
    names = ["torch", "torchvision", "timm", "numpy", "PIL"]
    code = BLOCKED.format(names=names, module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_settings_page_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == settings_reference()


def test_every_package_says_that_it_is_typed() -> None:
    packages = sorted(path.parent for path in ROOT.glob("*/imgq_*/__init__.py"))
    assert [package.name for package in packages if not (package / "py.typed").is_file()] == []
    assert len(packages) == 5


def test_the_changelog_knows_the_version() -> None:
    from importlib.metadata import version

    assert f"## {version('imgq')}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
