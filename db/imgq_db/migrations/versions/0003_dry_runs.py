"""Keep what a dry run measured and counted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "job",
        sa.Column("sampled_images", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("job", sa.Column("sampled_per_second", sa.REAL(), nullable=True))
    op.add_column("job", sa.Column("sampled_workers", sa.Integer(), nullable=True))
    op.add_column("job", sa.Column("to_do", sa.BigInteger(), nullable=True))
