"""The same aggregates in DuckDB: cumulative sums with an ASOF join, windows with RANGE, and a range join.

Each method is what its documentation shows for the purpose ("AsOf Join", "Window Functions", "Joins"). Events and
questions are native tables, loaded before the clock starts; a pair of keys is one whole number already.
"""

from typing import Any

import duckdb
import polars as pl
from benchmarks.past.in_polars import Polars, padded
from benchmarks.past.world import LAST, PRIOR, WINDOW, World
from numpy.typing import NDArray


class DuckDB:
    """The tables of a world.

    Args:
        world: events and questions.
        by: name of the key.
    """

    name = "duckdb"

    def __init__(self, world: World, by: str):
        self._con = duckdb.connect(config={"threads": 1, "memory_limit": "8GB"})
        self._con.execute("SET threads = 1")
        frames = Polars(world, by)
        for name in ("watches", "clicks", "rows"):
            table = getattr(frames, name).rename({"at": "ts"}).collect().to_arrow()
            self._con.register("loaded", table)
            self._con.execute(f"CREATE TABLE {name} AS FROM loaded")
            self._con.unregister("loaded")
        # A range join of users alone meets every event of a user for every question: 90 s and more.
        self.windows = (
            ["asof", "range_window"] if by == "user" else ["asof", "asof_asked", "range_window", "range_join"]
        )
        self.lists = ["asof", "asof_asked"]

    def count(self, method: str) -> NDArray[Any]:
        return self._column(f"SELECT n FROM ({self._summed(method, 'watches', '1')}) ORDER BY row")

    def sum(self, method: str) -> NDArray[Any]:
        return self._column(f"SELECT n FROM ({self._summed(method, 'watches', 'seconds')}) ORDER BY row")

    def rate(self, method: str) -> NDArray[Any]:
        clicks, watches = (self._summed(method, table, "1") for table in ("clicks", "watches"))
        rate = f"(a.n + {PRIOR[0]}::DOUBLE) / (b.n + {PRIOR[1]}::DOUBLE)"
        return self._column(f"SELECT {rate} AS n FROM ({clicks}) a JOIN ({watches}) b USING (row) ORDER BY row")

    def _column(self, query: str) -> NDArray[Any]:
        return self._con.execute(query).fetchnumpy()["n"]

    def _summed(self, method: str, table: str, value: str) -> str:
        """A query that gives `row` and `n`."""
        if method == "range_join":
            return (
                f"SELECT row, CAST(coalesce(sum(e.n), 0) AS BIGINT) AS n FROM rows r LEFT JOIN "
                f"(SELECT key, ts, {value} AS n FROM {table}) e "
                f"ON r.key = e.key AND e.ts < r.ts AND e.ts > r.ts - {WINDOW} GROUP BY row"
            )
        if method == "range_window":
            frame = f"PARTITION BY key ORDER BY ts RANGE BETWEEN {WINDOW - 1} PRECEDING AND 1 PRECEDING"
            both = f"SELECT key, ts, {value} AS v, NULL AS row FROM {table} UNION ALL SELECT key, ts, 0, row FROM rows"
            inner = f"SELECT row, CAST(coalesce(sum(v) OVER ({frame}), 0) AS BIGINT) AS n FROM ({both})"
            return f"SELECT row, n FROM ({inner}) WHERE row IS NOT NULL"
        asked = "WHERE key IN (SELECT key FROM rows)" if method == "asof_asked" else ""
        running = f"sum({value}) OVER (PARTITION BY key ORDER BY ts ROWS UNBOUNDED PRECEDING)"
        running = "row_number() OVER (PARTITION BY key ORDER BY ts)" if value == "1" else running
        sums = f"WITH c AS MATERIALIZED (SELECT key, ts, CAST({running} AS BIGINT) AS n FROM {table} {asked})"
        now, then = (
            f"SELECT row, coalesce(c.n, 0) AS n FROM rows r ASOF LEFT JOIN c ON r.key = c.key AND r.ts - {back} > c.ts"
            for back in (0, WINDOW - 1)
        )
        return f"{sums} SELECT row, a.n - b.n AS n FROM ({now}) a JOIN ({then}) b USING (row)"

    def last50(self, method: str) -> Any:
        """The number of the last event before each moment by an ASOF join, then the 50 up to it by their numbers."""
        asked = "WHERE key IN (SELECT key FROM rows)" if method == "asof_asked" else ""
        return self._con.sql(
            f"""
            WITH e AS MATERIALIZED (
                SELECT key, ts, video, row_number() OVER (ORDER BY key, ts) AS place,
                       row_number() OVER (PARTITION BY key ORDER BY ts) AS nth FROM watches {asked}),
            l AS (SELECT row, place, nth FROM rows r ASOF JOIN e ON r.key = e.key AND r.ts > e.ts),
            p AS (SELECT row, unnest(range(place, place - least(nth, {LAST}), -1)) AS place FROM l)
            SELECT row, list(video ORDER BY place DESC) AS video, list(ts ORDER BY place DESC) AS at
            FROM p JOIN e USING (place) GROUP BY row ORDER BY row
            """
        ).to_arrow_table()

    def lists_of(self, found: Any, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Lists as padded arrays, to compare."""
        frame = pl.from_arrow(found)
        assert isinstance(frame, pl.DataFrame)
        return padded(frame.with_columns(pl.col("row").cast(pl.Int64)), rows)
