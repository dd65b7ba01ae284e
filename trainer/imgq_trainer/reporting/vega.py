"""Vega-Lite specifications, and drawing them without a browser or a network."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import vl_convert

from imgq_trainer.evaluating.values import Reliability

#: The page gives these other values on a dark background: see page.css.
INK: Final = "#30343b"
GRID: Final = "#d9dce1"
PALE: Final = "#eef3fb"
SERIES: Final = ("#2868c8", "#c9580f", "#23875a", "#a13b8f", "#8a6d00", "#5d6470")
_VERSION = "6.4"
_WIDTH, _HEIGHT = 380, 240

Spec = dict[str, Any]
Row = Mapping[str, str | int | float | None]


def draw(spec: Spec, *, prefix: str) -> str:
    """Return a specification's picture as SVG on a clear background.

    prefix: begins every id in it, so that several pictures can stand in one page.
    """
    whole = {"background": None, "config": _CONFIG, **spec}
    drawn = vl_convert.vegalite_to_svg(whole, vl_version=_VERSION, allowed_base_urls=[])
    return re.sub(r'( id="|="url\(#)', rf"\g<1>{prefix}-", drawn)


def to_png(svg: str, *, scale: float) -> bytes:
    """Return an SVG's picture as PNG, so many pixels for one of its units."""
    return vl_convert.svg_to_png(svg, scale=scale)


def lines(
    rows: Sequence[Row],
    x: str,
    y: str,
    series: Sequence[str],
    *,
    whole_x: bool = False,
    share_x: bool = False,
    share_y: bool = False,
) -> Spec:
    scale_x: Spec = {"domain": [0, 1]} if share_x else {"zero": False, "nice": False}
    scale_y: Spec = {"domain": [0, 1]} if share_y else {"zero": True}
    encoding: Spec = {
        "x": quantitative("x", x, scale_x, "%" if share_x else "d" if whole_x else ""),
        "y": quantitative("y", y, scale_y, "%" if share_x else ""),
        "color": {
            "field": "series",
            "type": "nominal",
            "sort": list(series),
            "scale": {"domain": list(series), "range": _colours(len(series))},
            "legend": {"title": None, "orient": "bottom", "columns": 2, "labelLimit": 240},
        },
    }
    if "order" in rows[0]:
        encoding["order"] = {"field": "order", "type": "quantitative"}
    if whole_x:
        epochs = len({row["x"] for row in rows})
        encoding["x"]["axis"] |= {"tickMinStep": 1, "tickCount": min(epochs, 10)}
    mark: Spec = {"type": "line", "strokeWidth": 1.8}
    if whole_x:
        mark["point"] = {"size": 18, "filled": True}
    layer = [{"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}]
    return {"width": _WIDTH, "height": _HEIGHT, "layer": layer}


def reliability_panel(reliability: Reliability, title: str, colour: str) -> Spec:
    rows: list[Row] = [
        {
            "lower": bin_.lower,
            "upper": bin_.upper,
            "confidence": bin_.confidence,
            "accuracy": bin_.accuracy,
            "pictures": bin_.pictures,
        }
        for bin_ in reliability.bins
    ]
    share = quantitative("accuracy", "share that is right", {"domain": [0, 1]}, "%")
    where = {"domain": [0, 1], "nice": False}
    bars = {
        "data": {"values": rows},
        "mark": {"type": "rect", "color": colour, "opacity": 0.3},
        "encoding": {
            "x": quantitative("lower", "confidence", where, "%"),
            "x2": {"field": "upper"},
            "y": share,
            "y2": {"datum": 0},
        },
    }
    dots = {
        "data": {"values": rows},
        "mark": {"type": "circle", "color": colour, "opacity": 1},
        "encoding": {
            "x": quantitative("confidence", "confidence", where, "%"),
            "y": share,
            "size": {
                "field": "pictures",
                "type": "quantitative",
                "scale": {"range": [12, 160], "zero": True},
                "legend": None,
            },
        },
    }
    return {
        "width": 260,
        "height": 220,
        "title": title,
        "layer": [bars, diagonal("confidence", "accuracy"), dots],
    }


def diagonal(x: str, y: str) -> Spec:
    return {
        "data": {"values": [{x: 0, y: 0}, {x: 1, y: 1}]},
        "mark": {"type": "line", "color": SERIES[-1], "strokeDash": [4, 4], "strokeWidth": 1},
        "encoding": {
            "x": {"field": x, "type": "quantitative"},
            "y": {"field": y, "type": "quantitative"},
        },
    }


def nominal(field: str, title: str, names: Sequence[str], axis: Spec) -> Spec:
    return {
        "field": field,
        "type": "nominal",
        "title": title,
        "sort": list(names),
        "scale": {"domain": list(names)},
        "axis": axis,
    }


def quantitative(field: str, title: str, scale: Spec, unit: str) -> Spec:
    axis: Spec = {"format": ".0%"} if unit == "%" else {"format": "d"} if unit == "d" else {}
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": scale,
        "axis": axis,
    }


def _colours(count: int) -> list[str]:
    return [SERIES[index % len(SERIES)] for index in range(count)]


_CONFIG: Final[Spec] = {
    "aria": False,
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 12,
        "domainColor": INK,
        "tickColor": INK,
        "gridColor": GRID,
        "labelOverlap": True,
    },
    "legend": {"labelColor": INK, "titleColor": INK, "titleFontWeight": "normal"},
    "title": {"color": INK, "fontSize": 12, "fontWeight": "normal"},
}
