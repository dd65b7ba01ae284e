"""An app that no request can reach a database through: nothing listens on its port."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from imgq_api.app import create_app
from imgq_db.engine import make_engine
from imgq_db.settings import Settings


@pytest.fixture
def lonely_settings(tmp_path: Path) -> Settings:
    return Settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        home=tmp_path,
        data_dir=tmp_path,
        host="127.0.0.1",
        insecure=False,
    )


@pytest.fixture
def lonely_app(lonely_settings: Settings) -> Iterator[Flask]:
    engine = make_engine(lonely_settings)
    yield create_app(lonely_settings, engine=engine, ring=lambda _queue: True)
    engine.dispose()
