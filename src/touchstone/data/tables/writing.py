"""A table written as it is made, a frame at a time: whole, or not at all."""

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

GROUP = 100_000  # rows that a Parquet file keeps together


def write(frames: Iterable[pl.DataFrame], path: Path) -> None:
    """Writes frames of one schema to a file, one after the other.

    Args:
        frames: at least one; no more than one of them is held at once.
        path: ends in one of `WRITERS`; what is there already stays until all is written.
    """
    with TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = Path(folder, "table")
        WRITERS[path.suffix](frames, partial)
        partial.replace(path)


def write_csv(frames: Iterable[pl.DataFrame], path: Path) -> None:
    """Writes text, a header first; a value that is missing is empty."""
    with path.open("wb") as file:
        for number, frame in enumerate(frames):
            frame.write_csv(file, include_header=not number)


def write_parquet(frames: Iterable[pl.DataFrame], path: Path) -> None:
    """Writes Parquet: a file a frame, as Polars adds to none, and all of them then to one."""
    parts = []
    for number, frame in enumerate(frames):
        parts.append(path.with_name(f"{number:09d}"))
        frame.write_parquet(parts[-1])
    # Neither do names of folders hold patterns or columns, whatever is in them.
    whole = pl.scan_parquet(parts, glob=False, hive_partitioning=False)
    with path.open("wb") as file:
        whole.sink_parquet(file, row_group_size=GROUP)


WRITERS: dict[str, Callable[[Iterable[pl.DataFrame], Path], None]] = {
    ".csv": write_csv,
    ".parquet": write_parquet,
}
