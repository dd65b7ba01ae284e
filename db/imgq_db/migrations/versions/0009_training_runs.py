"""Trainings: runs with seeds of their own are told apart, and pictures are counted in a stage."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ONE = sa.text("1")


def upgrade() -> None:
    for name in ("run", "runs"):
        op.add_column("training", sa.Column(name, sa.Integer(), nullable=True))
    for name in ("done", "total"):
        op.add_column("training", sa.Column(name, sa.BigInteger(), nullable=True))
    for place in ("training_epoch.run", "training_epoch.runs", "checkpoint.run"):
        table, name = place.split(".")
        op.add_column(table, sa.Column(name, sa.Integer(), server_default=ONE, nullable=False))
    op.drop_constraint(op.f("pk_training_epoch"), "training_epoch", type_="primary")
    op.create_primary_key(
        op.f("pk_training_epoch"), "training_epoch", ["job_id", "stage", "run", "epoch"]
    )
