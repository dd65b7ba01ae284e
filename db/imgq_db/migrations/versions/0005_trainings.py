"""Trainings: their lease, epochs, checkpoints and log; datasets; where a version comes from."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UTC = postgresql.TIMESTAMP(timezone=True)
NOW = sa.text("imgq_now()")
ZERO = sa.text("0")


def upgrade() -> None:
    _let_jobs_train()
    _create_dataset()
    _create_training()
    _create_what_trainings_say()
    _tell_where_versions_come_from()


def _let_jobs_train() -> None:
    op.alter_column("job", "model_version_id", nullable=True)
    op.add_column("job", sa.Column("result", postgresql.JSONB(), nullable=True))
    op.add_column(
        "worker",
        sa.Column("queue", sa.Text(), server_default=sa.text("'classify'"), nullable=False),
    )


def _create_dataset() -> None:
    op.create_table(
        "dataset",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("test_digest", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("findings", postgresql.JSONB(), nullable=False),
        sa.Column("images", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UTC, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_dataset")),
    )


def _create_training() -> None:
    op.create_table(
        "training",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("token", sa.BigInteger(), server_default=ZERO, nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=True),
        sa.Column("lease_until", UTC, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("idle_attempts", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("events", sa.BigInteger(), server_default=ZERO, nullable=False),
        sa.Column("heard_at", UTC, nullable=True),
        sa.Column("images", sa.BigInteger(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("epochs", sa.Integer(), nullable=True),
        sa.Column("fraction", sa.REAL(), nullable=True),
        sa.Column("eta_seconds", sa.REAL(), nullable=True),
        sa.Column("train_loss", sa.REAL(), nullable=True),
        sa.Column("val_loss", sa.REAL(), nullable=True),
        sa.Column("macro_f1", sa.REAL(), nullable=True),
        sa.Column("dataset_digest", sa.Text(), nullable=True),
        sa.Column("report", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending','leased','done','cancelled')", name=op.f("ck_training_state")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_digest"], ["dataset.digest"], name=op.f("fk_training_dataset_digest")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_training_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_training")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_training_open",
        "training",
        ["job_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending','leased')"),
    )


def _create_what_trainings_say() -> None:
    op.create_table(
        "training_epoch",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("train_loss", sa.REAL(), nullable=True),
        sa.Column("val_loss", sa.REAL(), nullable=True),
        sa.Column("macro_f1", sa.REAL(), nullable=True),
        sa.Column("learning_rate", sa.REAL(), nullable=True),
        sa.Column("images_per_second", sa.REAL(), nullable=True),
        sa.Column("ended_at", UTC, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["training.job_id"],
            name=op.f("fk_training_epoch_job_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "stage", "epoch", name=op.f("pk_training_epoch")),
    )
    op.create_table(
        "checkpoint",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("written_at", UTC, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["training.job_id"],
            name=op.f("fk_checkpoint_job_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "path", name=op.f("pk_checkpoint")),
    )
    op.create_table(
        "training_log",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("said_at", UTC, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["training.job_id"],
            name=op.f("fk_training_log_job_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("pk_training_log")),
    )


def _tell_where_versions_come_from() -> None:
    for column in (
        sa.Column("job_uid", sa.Uuid(), nullable=True),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("dataset_digest", sa.Text(), nullable=True),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("training", postgresql.JSONB(), nullable=True),
    ):
        op.add_column("model_version", column)
    op.create_unique_constraint(op.f("uq_model_version_job_uid"), "model_version", ["job_uid"])
    op.create_foreign_key(
        op.f("fk_model_version_parent_id"), "model_version", "model_version", ["parent_id"], ["id"]
    )
    op.create_foreign_key(
        op.f("fk_model_version_dataset_digest"),
        "model_version",
        "dataset",
        ["dataset_digest"],
        ["digest"],
    )
