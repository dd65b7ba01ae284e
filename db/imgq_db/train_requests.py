"""What a new training must hold to before it is queued; one that is stored is only read."""

import re

from imgq_db.errors import OptionInvalid
from imgq_db.models import check_new_name
from imgq_db.settings import Settings
from imgq_db.sources import check_file
from imgq_db.train_options import TrainOptions

#: The knob that names a file on the trainer's host.
WEIGHTS = "weights"


def check_training(options: TrainOptions, settings: Settings) -> None:
    """Raise OptionInvalid, ArtifactInvalid, ModelExists, SourceInvalid or SourceNotAllowed."""
    check_new_name(options.name)
    if options.group_by is not None and options.manifest is None:
        _check_expression(options.group_by)
    weights = options.config.get(WEIGHTS)
    if weights is None:
        return
    if options.backbone is None:
        raise OptionInvalid(
            f"The config names {WEIGHTS}, but no backbone that they are of.",
            "Name it (--backbone), or leave the weights out.",
        )
    check_file(str(weights), settings)


def _check_expression(expression: str) -> None:
    try:
        re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise OptionInvalid(
            f"Pictures cannot be grouped by {expression!r}: it is no regular expression, {error}.",
            "Only with a manifest is it the name of a column.",
        ) from error
