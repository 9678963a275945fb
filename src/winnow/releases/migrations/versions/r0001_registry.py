"""Releases, pointers, promotions and live weights."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the four tables."""
    op.create_table(
        "release",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("system", sa.String(100), nullable=False),
        sa.Column("declaration", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
    )
    op.create_index("release_by_system", "release", ["system", "created_at"])
    op.create_table(
        "pointer",
        sa.Column("system", sa.String(100), primary_key=True),
        sa.Column("champion", sa.String(16), sa.ForeignKey("release.id")),
        sa.Column("shadow", sa.String(16), sa.ForeignKey("release.id")),
        sa.Column("weights_version", sa.Integer, nullable=False),
    )
    op.create_table(
        "promotion",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("system", sa.String(100), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("release", sa.String(16), sa.ForeignKey("release.id")),
        sa.Column("previous", sa.String(16), sa.ForeignKey("release.id")),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    op.create_index("promotion_by_system", "promotion", ["system", "seq"])
    op.create_table(
        "weights",
        sa.Column("system", sa.String(100), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("head_weights", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Removes them."""
    for name in ("weights", "promotion", "pointer", "release"):
        op.drop_table(name)
