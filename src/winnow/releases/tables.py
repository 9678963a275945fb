"""The tables of the registry; `migrations` brings a database to this shape."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

release = Table(
    "release", metadata,
    Column("id", String(16), primary_key=True),
    Column("system", String(100), nullable=False),
    Column("declaration", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("registered_at", BigInteger, nullable=False),
    Column("manifest", Text, nullable=False),
    Index("release_by_system", "system", "created_at"),
)  # fmt: skip

# One row per system holds all that a worker must notice, so that watching it is one read by primary key.
pointer = Table(
    "pointer", metadata,
    Column("system", String(100), primary_key=True),
    Column("champion", String(16), ForeignKey("release.id")),
    Column("shadow", String(16), ForeignKey("release.id")),
    Column("weights_version", Integer, nullable=False, default=0),
)  # fmt: skip

promotion = Table(
    "promotion", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("system", String(100), nullable=False),
    Column("action", String(20), nullable=False),
    Column("release", String(16), ForeignKey("release.id")),
    Column("previous", String(16), ForeignKey("release.id")),
    Column("at", BigInteger, nullable=False),
    Column("who", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Index("promotion_by_system", "system", "seq"),
)  # fmt: skip

weights = Table(
    "weights", metadata,
    Column("system", String(100), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("head_weights", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Column("experiment", Text),
)  # fmt: skip
