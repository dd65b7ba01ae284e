"""Who failed at a job and when to try again; an ended job's summary; what workers compute."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.add_column("chunk", sa.Column("not_before", MOMENT, nullable=True))
    op.add_column("chunk", sa.Column("failed_by", sa.Uuid(), nullable=True))
    op.add_column("worker", sa.Column("precisions", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("job", sa.Column("summarized_at", MOMENT, nullable=True))
    op.create_index(
        "ix_job_unsummarized",
        "job",
        ["id"],
        unique=False,
        postgresql_where=sa.text(
            "kind = 'classify' AND finished_at IS NOT NULL AND summarized_at IS NULL"
        ),
    )
    _create_job_summary()
    _create_job_failure()


def _create_job_summary() -> None:
    op.create_table(
        "job_summary",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_job_summary_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_summary")),
    )


def _create_job_failure() -> None:
    op.create_table(
        "job_failure",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("chunk_id", sa.BigInteger(), nullable=True),
        sa.Column("worker", sa.Uuid(), nullable=False),
        sa.Column("worker_name", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, server_default=sa.text("imgq_now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('model','source','chunk','listing')", name=op.f("ck_job_failure_kind")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_job_failure_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_failure")),
    )
    op.create_index("ix_job_failure_job", "job_failure", ["job_id", "id"], unique=False)
