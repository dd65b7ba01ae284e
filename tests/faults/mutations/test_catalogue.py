"""Every mutation can still be made: a patch of code that changed would prove nothing."""

import ast
import shutil
from pathlib import Path

import pytest

from .catalogue import MUTATIONS, Mutation
from .patching import ROOT, apply


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_changes_what_it_names_and_leaves_python(
    mutation: Mutation, tmp_path: Path
) -> None:
    for path in {patch.path for patch in mutation.patches}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    apply(mutation.patches, tmp_path)
    for patch in mutation.patches:
        changed = (tmp_path / patch.path).read_text()
        assert changed != (ROOT / patch.path).read_text()
        ast.parse(changed)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_tests_of_a_mutation_are_there(mutation: Mutation) -> None:
    for test in mutation.tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text() if name else (ROOT / file).is_file()
