"""What each knob may be, as plain data: whoever takes orders checks them without torch."""

import json
from collections.abc import Mapping
from typing import Any, Final

from imgq_trainer.training.config import Config

#: What is kept of a knob's JSON schema: the rest is for people, and in docs/training.md.
_RULES: Final = (
    "type",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
)


def knob_table() -> dict[str, Any]:
    """Return a rule for each knob by its name; a table of knobs is `{"knobs": …}`."""
    schema = Config.model_json_schema()
    parts = schema["$defs"]
    return {name: _entry(rule, parts) for name, rule in schema["properties"].items()}


def write_table() -> str:
    return json.dumps(knob_table(), indent=1) + "\n"


def _entry(rule: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" not in rule:
        return _rule(rule)
    part = parts[rule["$ref"].rpartition("/")[2]]
    return {"knobs": {name: _rule(inner) for name, inner in part["properties"].items()}}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    if "anyOf" in rule:
        return {"anyOf": [_rule(one) for one in rule["anyOf"]]}
    kept = {name: rule[name] for name in _RULES if name in rule}
    return kept | ({"items": _rule(rule["items"])} if "items" in rule else {})
