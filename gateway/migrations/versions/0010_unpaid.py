"""Pricing anew tells how many charges their wallets could not pay."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs that are done have no count of it: theirs is nought."""
    op.add_column(
        "rerate_run",
        sa.Column("unpaid", sa.BigInteger(), nullable=False, server_default=sa.text("0"), comment="charges whose wallet could not pay"),
    )
