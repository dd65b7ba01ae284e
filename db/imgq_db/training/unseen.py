"""The pictures that a promotion is judged on: tested one model, surely not seen by the other."""

from dataclasses import dataclass

from sqlalchemy import Engine

from imgq_db.models import ModelVersion
from imgq_db.settings import Settings
from imgq_db.training.datasets import read_examples
from imgq_db.training.keeping import kept_dataset
from imgq_db.training.lineage import TestPicture, list_test_pictures, trained_on


@dataclass(frozen=True, slots=True)
class Unseen:
    """notes: sentences that say why pictures of the test split are missing."""

    pictures: tuple[TestPicture, ...]
    notes: tuple[str, ...]


def unseen_pictures(
    engine: Engine, settings: Settings, champion: ModelVersion, challenger: ModelVersion
) -> Unseen:
    """Return those of the champion's test pictures that the challenger provably did not learn from.

    A picture is left out if it, or any picture of its cluster of near duplicates, is among what
    the challenger or a version that it goes back to was trained or validated on.
    """
    if champion.dataset is None:
        return Unseen((), (f"{champion.ref} has no test pictures: imgq did not train it.",))
    try:
        tested = list_test_pictures(settings, champion)
        learnt = trained_on(engine, settings, challenger)
        if not learnt.complete:
            why = f"Not all that {challenger.ref} was trained on is known, so nothing is proved"
            return Unseen((), (f"{why} unseen.",))
        examples = read_examples(kept_dataset(settings, champion.dataset))
        seen = {each.cluster for each in examples if each.digest in learnt.digests}
    except OSError as error:
        return Unseen((), (f"The data of {champion.ref} cannot be read: {error}.",))
    fresh = [each for each in tested if each.cluster not in seen]
    kept = tuple(each for each in fresh if each.file is not None)
    notes = [
        f"{missing} {what}."
        for missing, what in (
            (len(tested) - len(fresh), f"were seen by {challenger.ref} while it was trained"),
            (len(fresh) - len(kept), "were not kept, or are gone from the data directory"),
        )
        if missing
    ]
    return Unseen(kept, tuple(notes))
