"""A training's knobs, checked before anything is queued: their names, and what they may be."""

import json
import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

from pydantic_core import PydanticCustomError

Rule = Mapping[str, Any]
_KINDS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "integer": ("a whole number", (int,)),
    "number": ("a number", (int, float)),
    "string": ("a text", (str,)),
    "boolean": ("true or false", (bool,)),
    "array": ("a list", (list, tuple)),
    "null": ("null", (type(None),)),
}


def check_knobs(config: Mapping[str, object]) -> None:
    """Raise PydanticCustomError if a name is no knob's, a table is none, or a value cannot be."""
    known = knobs()
    for name, value in config.items():
        if name not in known:
            _refuse_name(name, known, "")
        if "knobs" not in known[name]:
            _check_value(name, value, known[name])
            continue
        if not isinstance(value, Mapping):
            raise PydanticCustomError(
                "knob_table", "must have a table under {name}", {"name": name}
            )
        inner = known[name]["knobs"]
        for key, one in value.items():
            if key not in inner:
                _refuse_name(key, inner, f"{name}.")
            _check_value(f"{name}.{key}", one, inner[key])


@cache
def knobs() -> Mapping[str, Rule]:
    """Return the rule of each knob; the file is written from the trainer's own rules."""
    text = (files("imgq_api") / "knobs.json").read_text("utf-8")
    table: Mapping[str, Rule] = json.loads(text)
    return table


def _check_value(name: str, value: object, rule: Rule) -> None:
    fault = next(_faults(value, rule), None)
    if fault is not None:
        shown = json.dumps(value, default=str)[:80]
        raise PydanticCustomError(
            "knob_value",
            "has {name} = {shown}, which must be {fault}",
            {"name": name, "shown": shown, "fault": fault},
        )


def _faults(value: Any, rule: Rule) -> Iterator[str]:
    """Yield what a value must be and is not."""
    if "anyOf" in rule:
        faults = [next(_faults(value, one), None) for one in rule["anyOf"]]
        if None not in faults:
            yield " or ".join(map(str, faults))
        return
    words, types = _KINDS[rule["type"]]
    # A bool is an int in Python, and none here.
    if not isinstance(value, types) or (isinstance(value, bool) and rule["type"] != "boolean"):
        yield words
    elif "enum" in rule and value not in rule["enum"]:
        yield f"one of {', '.join(rule['enum'])}"
    elif isinstance(value, int | float):
        yield from _out_of_range(value, rule)
    elif isinstance(value, list | tuple):
        if len(value) < rule.get("minItems", 0):
            yield f"{rule['minItems']} or more in a list"
        for one in value:
            yield from (f"a list, each {fault}" for fault in _faults(one, rule["items"]))


def _out_of_range(value: float, rule: Rule) -> Iterator[str]:
    if not math.isfinite(value):
        yield "finite"
    if value < rule.get("minimum", value):
        yield f"at least {rule['minimum']:g}"
    if value > rule.get("maximum", value):
        yield f"at most {rule['maximum']:g}"
    if value <= rule.get("exclusiveMinimum", -math.inf):
        yield f"more than {rule['exclusiveMinimum']:g}"
    if value >= rule.get("exclusiveMaximum", math.inf):
        yield f"less than {rule['exclusiveMaximum']:g}"


def _refuse_name(name: str, known: Mapping[str, Rule], place: str) -> NoReturn:
    everywhere = _places()
    own = [place + key for key in get_close_matches(name, known, 1)]
    others = [everywhere[key] for key in get_close_matches(name, everywhere, 1)]
    near = everywhere[name] if name in everywhere else next(iter(own or others), "")
    above = ", above the first [table]" if place and near in knobs() else ""
    meant = f"; did you mean {near}{above}?" if near else ""
    raise PydanticCustomError(
        "knob", "has no key {name}{meant}", {"name": f"{place}{name}"[:200], "meant": meant}
    )


def _places() -> dict[str, str]:
    """Return where each knob is; one that several tables have is in the first of them."""
    places = {name: name for name in knobs()}
    for table, rule in knobs().items():
        for key in rule.get("knobs", ()):
            places.setdefault(key, f"{table}.{key}")
    return places
