"""Keep the ranges that int8 needs, and how far its labels agree with the exact ones."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quantisation",
        sa.Column("model_version_id", sa.BigInteger(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("ranges", postgresql.BYTEA(), nullable=False),
        sa.Column("pictures", sa.Integer(), nullable=False),
        sa.Column(
            "made_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("imgq_now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_quantisation_model_version_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("model_version_id", "how", name=op.f("pk_quantisation")),
    )
    op.add_column("job", sa.Column("agreement", postgresql.JSONB(), nullable=True))
