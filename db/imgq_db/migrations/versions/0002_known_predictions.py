"""Create the prediction cache: recipes, known predictions, known files."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STORAGE = {"autovacuum_vacuum_scale_factor": "0.05"}


def upgrade() -> None:
    op.create_table(
        "recipe",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("model_version_id", sa.BigInteger(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_recipe_model_version_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipe")),
        sa.UniqueConstraint("model_version_id", "how", name=op.f("uq_recipe_model_version_id_how")),
    )
    op.create_table(
        "known_prediction",
        sa.Column("recipe_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("used_on", sa.Date(), nullable=False),
        sa.Column("digest", postgresql.BYTEA(), nullable=False),
        sa.Column("top", postgresql.BYTEA(), nullable=False),
        sa.PrimaryKeyConstraint("recipe_id", "digest", name=op.f("pk_known_prediction")),
        postgresql_with=STORAGE,
    )
    op.create_index(
        op.f("ix_known_prediction_used_on"), "known_prediction", ["used_on"], unique=False
    )
    op.create_table(
        "known_file",
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("ctime_ns", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("used_on", sa.Date(), nullable=False),
        sa.Column("path_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("digest", postgresql.BYTEA(), nullable=False),
        sa.PrimaryKeyConstraint("path_hash", name=op.f("pk_known_file")),
        postgresql_with=STORAGE,
    )
    op.create_index(op.f("ix_known_file_used_on"), "known_file", ["used_on"], unique=False)
