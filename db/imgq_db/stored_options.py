"""Options as a job's row keeps them: maybe of a version of imgq that allowed other ones."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, cast

from imgq_db.errors import OptionInvalid, Refused
from imgq_db.options import ClassifyOptions
from imgq_db.train_options import EvaluateOptions, TrainOptions

T = TypeVar("T", bound=ClassifyOptions | TrainOptions | EvaluateOptions)


def read_options(kind: type[T], stored: dict[str, Any]) -> T:
    """Return options that can be done. Raises OptionInvalid, whatever else is wrong with them."""
    try:
        return cast(T, kind.from_json(stored))
    except OptionInvalid:
        raise
    except (Refused, TypeError, ValueError, AttributeError) as error:
        raise OptionInvalid(
            f"The stored options are no options of this version: {error}"
        ) from error


def show_options(kind: type[T], stored: dict[str, Any]) -> T:
    """Return options for people to see: as they are stored, also if nobody can do them any more."""
    try:
        return read_options(kind, stored)
    except OptionInvalid:
        options = object.__new__(kind)
        for each in fields(kind):
            object.__setattr__(options, each.name, _value(each, stored))
        return options


def _value(field: Field[Any], stored: Mapping[str, Any]) -> Any:
    if field.name in stored:
        value = stored[field.name]
        return tuple(value) if isinstance(value, list) else value
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None if field.default is MISSING else field.default
