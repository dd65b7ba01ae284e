"""`python -m imgq_workers.training.builtin`: write the built-in model's artifact."""

from imgq_db.engine import make_engine
from imgq_db.models import BUILTIN_NAME, get_model
from imgq_db.settings import load_settings
from imgq_workers.models import ensure_artifact


def main() -> None:
    """Write it, if it is not there."""
    settings = load_settings()
    engine = make_engine(settings, role="worker")
    ensure_artifact(engine, settings, get_model(engine, BUILTIN_NAME)[-1])
    engine.dispose()


if __name__ == "__main__":
    main()
