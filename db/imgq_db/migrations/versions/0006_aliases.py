"""The history of aliases, and version numbers that are never given twice."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LAST_VERSIONS = """
UPDATE model SET last_version = coalesce(
    (SELECT max(v.version) FROM model_version v WHERE v.model_id = model.id), 0)
"""


def upgrade() -> None:
    op.add_column(
        "model",
        sa.Column("last_version", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.execute(LAST_VERSIONS)
    op.create_table(
        "alias_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column(
            "changed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("imgq_now()"),
            nullable=False,
        ),
        sa.Column("key_id", sa.BigInteger(), nullable=True),
        sa.Column("from_version", sa.Integer(), nullable=True),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Boolean(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=True),
        sa.Column("job_uid", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "decision IN ('ungated','first','passed','refused','forced','rollback','outdated')",
            name=op.f("ck_alias_change_decision"),
        ),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_alias_change_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alias_change")),
    )
    op.create_index(
        "ix_alias_change_alias", "alias_change", ["model_id", "alias", "id"], unique=False
    )
