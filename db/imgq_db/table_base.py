"""What every table shares: names of constraints, types of columns, the clock."""

import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    Date,
    MetaData,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
UTC = TIMESTAMP(timezone=True)
NOW = text("imgq_now()")
ZERO = text("0")


class Table(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {
        str: Text(),
        bytes: BYTEA(),
        datetime.datetime: UTC,
        datetime.date: Date(),
        dict[str, Any]: JSONB(),
    }
