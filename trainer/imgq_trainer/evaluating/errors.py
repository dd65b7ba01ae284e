"""What can be wrong with what is to be evaluated."""

from imgq_trainer.errors import TrainerError


class NothingToEvaluate(TrainerError):
    def __init__(self) -> None:
        super().__init__(
            "There is no picture to judge the model on. Try a source with more pictures for every"
            " label."
        )


class ScoredInvalid(TrainerError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"The model's scores do not fit the pictures: {reason}.")


class NotTheSamePictures(TrainerError):
    def __init__(self) -> None:
        super().__init__("Two models can be compared on the same pictures and labels only.")


class ReportInvalid(TrainerError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"This is not the evaluation of a model: {reason}.")
