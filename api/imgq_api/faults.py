"""What is wrong with a field, as sentences: pydantic finds the fault, these words tell it."""

from collections.abc import Mapping

from pydantic_core import ErrorDetails

from imgq_api.errors import FieldError
from imgq_api.requests import BUDGET, TAG, TAG_KEY

UNKNOWN = "is not known here"
_TIME = "must be a time with its zone, such as 2026-05-01T12:00:00Z"
_WHOLE = "must be one whole number"
_NUMBER = "must be one number"
_NAME_CHARACTERS = 80

# By pydantic's types. Each completes a sentence that begins with the field's name.
_PREDICATES: Mapping[str, str] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "datetime_from_date_parsing": _TIME,
    "datetime_parsing": _TIME,
    "datetime_type": _TIME,
    "dict_type": "must be an object",
    "enum": "must be {expected}",
    "extra_forbidden": UNKNOWN,
    "finite_number": _NUMBER,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "is too large a number",
    "int_type": _WHOLE,
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "string_type": "must be one text",
    "string_unicode": "must be text in UTF-8",
    "timezone_aware": _TIME,
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "is missing",
}
# Of a body that has several shapes: the field that tells them apart.
_TAG_FAULTS = ("union_tag_invalid", "union_tag_not_found")
_PATTERNS: Mapping[str, str] = {
    BUDGET: "must be a number of images, such as 12, or a share of them, such as 5%",
    TAG: "must be key=value",
    TAG_KEY: (
        "is no tag key: a key has 1 to 63 characters, each one of A-Z, a-z, 0-9 or . _ / -,"
        " and begins with a letter or a digit"
    ),
}


def unknown(pointer: str) -> FieldError:
    """Return the fault of a field that does not exist."""
    return _fault(pointer, UNKNOWN)


def body_fault(found: ErrorDetails) -> FieldError:
    """Return a fault of a JSON body. Its pointer is a JSON pointer."""
    # Pydantic marks the key of an entry with a further part; a pointer has no word for it.
    parts = found["loc"][:-1] if found["loc"][-1:] == ("[key]",) else found["loc"]
    if found["type"] in _TAG_FAULTS:
        parts = (*parts, found["ctx"]["discriminator"].strip("'"))
    return _fault("".join(["#", *("/" + _escaped(part) for part in parts)]), predicate(found))


def query_fault(found: ErrorDetails) -> FieldError:
    """Return a fault of a query parameter. Its pointer is ?name."""
    return _fault(f"?{found['loc'][0]}", predicate(found))


def predicate(found: ErrorDetails) -> str:
    """Return what is wrong, as what follows the field's name in a sentence."""
    kind, context = found["type"], found.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return _PATTERNS[context["pattern"]]
    if kind in ("too_long", "string_too_long", "too_short", "string_too_short"):
        return _length(context)
    if kind in _PREDICATES:
        return _PREDICATES[kind].format(**context)
    return found["msg"]


def _length(context: Mapping[str, int | str]) -> str:
    counted = "entries" if context.get("field_type") in ("List", "Dictionary") else "characters"
    if "max_length" in context:
        return f"must have at most {context['max_length']} {counted}"
    if context["min_length"] == 1:
        return "must not be empty"
    return f"must have at least {context['min_length']} {counted}"


def _fault(pointer: str, predicate: str) -> FieldError:
    end = "" if predicate.endswith("?") else "."
    return FieldError(pointer, f"{_name(pointer)} {predicate}{end}")


def _name(pointer: str) -> str:
    # As people write it: options.top_k for #/options/top_k, limit for ?limit.
    parts = pointer[1:].removeprefix("/").split("/")
    name = ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts)
    short = name if len(name) <= _NAME_CHARACTERS else f"{name[:_NAME_CHARACTERS]}…"
    return short or "The body"


def _escaped(part: int | str) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
