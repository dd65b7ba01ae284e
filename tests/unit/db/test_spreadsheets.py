import pytest

from imgq_db.names import name_from_text
from imgq_db.spreadsheets import label_cell, path_cell


@pytest.mark.parametrize("name", ["=a", "+a", "-a", "@a", "\ta", "\ra", "\na", "＝a", "－1", "="])
def test_a_path_that_begins_a_formula_begins_with_an_escape(name: str) -> None:
    cell = path_cell(name)

    assert cell.startswith("%") and cell.endswith(name[1:])
    assert name_from_text(cell) == name.encode()


@pytest.mark.parametrize("text", ["", "a=b", "cat", "%3Da", "_-1", "日本"])
def test_other_paths_and_labels_stay(text: str) -> None:
    assert (path_cell(text), label_cell(text)) == (text, text)


@pytest.mark.parametrize(
    ("label", "cell"),
    [("=1+1", "'=1+1"), ("-1", "-1"), ("+2.5", "+2.5"), ("-1+1", "'-1+1"), ("-", "'-")],
)
def test_a_label_that_is_a_formula_stands_behind_an_apostrophe(label: str, cell: str) -> None:
    assert label_cell(label) == cell
