import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from imgq_trainer.reporting.page import render
from imgq_trainer.reporting.plots import draw_plots
from imgq_trainer.reporting.values import Picture, ReportData

Make = Callable[..., ReportData]
_VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """The tags and texts of a page, and whether every tag is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(report: ReportData) -> Page:
    return Page(render(report, draw_plots(report.evaluation, report.epochs)))


def test_hostile_names_are_shown_and_never_obeyed(hostile: ReportData) -> None:
    page = page_of(hostile)

    assert page.open == []
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "<script>alert(1)</script>" in page.texts
    assert "{{ 7 * 7 }} & ]]> url(#x)" in page.texts
    assert not re.search("[\u202e\x07]", "".join(page.texts))


def test_the_page_needs_no_other_file_and_no_network(hostile: ReportData) -> None:
    page = page_of(hostile)
    wanted = {
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href", "srcset", "data", "action"}
    }

    assert {str(value)[:22] for value in wanted} == {"data:image/png;base64,"}
    assert "link" not in {tag for tag, _ in page.tags}
    assert "@import" not in "".join(page.texts)


def test_every_picture_and_plot_says_what_it_shows(hostile: ReportData) -> None:
    tags = page_of(hostile).tags

    assert all(attributes["alt"] for tag, attributes in tags if tag == "img")
    plots = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(plots) == 5  # loss, macro F1, reliability, precision and recall, ROC
    assert all(one["role"] == "img" and one["aria-label"] for one in plots)
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_verdict_and_the_figures_are_on_the_page(make_report: Make) -> None:
    report = make_report(notes=("Class weights were used.",))
    texts = page_of(report).texts

    assert set(report.evaluation.verdict) <= set(texts)
    assert {"Class weights were used.", "Macro F1", "linear probe", "always “cat”"} <= set(texts)


@pytest.mark.parametrize(("classes", "tables"), [(2, 1), (50, 1), (51, 0)])
def test_a_large_confusion_matrix_gives_way_to_pairs(
    make_report: Make, classes: int, tables: int
) -> None:
    labels = tuple(f"kind {number}" for number in range(classes))
    report = make_report(labels)
    html = render(report, ())

    assert html.count('<table class="matrix') == tables
    assert ("<h3>Most confused pairs</h3>" in html) == (not tables)


def test_jpeg_and_png_are_embedded_and_anything_else_refused(
    make_report: Make, thumbnail: Callable[[str], bytes]
) -> None:
    def shown(content: bytes) -> str:
        return render(make_report(mistakes=(Picture("a.jpg", content, "cat", "dog", 0.9),)), ())

    assert 'src="data:image/png;base64,' in shown(thumbnail("PNG"))
    assert 'src="data:image/jpeg;base64,' in shown(thumbnail("JPEG"))
    with pytest.raises(ValueError, match="neither PNG nor JPEG"):
        shown(thumbnail("GIF"))


def test_a_range_of_no_width_is_not_shown_as_certainty(make_report: Make) -> None:
    report = make_report()
    intervals = replace(report.evaluation.intervals, macro_f1=(1.0, 1.0))
    certain = replace(report, evaluation=replace(report.evaluation, intervals=intervals))

    assert "its range is unknown" in page_of(certain).texts
    assert "its range is unknown" not in page_of(report).texts
