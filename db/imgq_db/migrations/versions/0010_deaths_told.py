"""Suspects: every process that died over a picture is kept, not the last one alone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column(
        "suspect",
        "died",
        type_=postgresql.ARRAY(sa.Uuid()),
        existing_nullable=False,
        postgresql_using="ARRAY[died]",
    )
