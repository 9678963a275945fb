"""The experiment that runs on a version of the live weights."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; earlier versions had none."""
    op.add_column("weights", sa.Column("experiment", sa.Text))


def downgrade() -> None:
    """Removes it."""
    op.drop_column("weights", "experiment")
