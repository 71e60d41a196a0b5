"""Adult (Becker and Kohavi 1996): 32,561 people of the US census of 1994, and who earns over 50K.

UCI Machine Learning Repository, CC BY 4.0; out of the package fairness 0.1.8, Apache-2.0.
"""

from pathlib import Path
from typing import Any

from touchstone.data.tables import table
from touchstone.data.tables.archives import Member, fetch
from touchstone.data.tables.rows import Rows

ADULT = Member(
    name="adult",
    project="fairness",
    archives=r"fairness-0\.1\.8-.*\.whl",
    path="fairness/data/raw/adult.csv",
    sha256="c30ce1e55a965b04950321870db74c19f4aa437120a692f32e72f6a4fa31c418",
)


def load(folder: str | Path, split: str = "train", **settings: Any) -> Rows:
    """Loads two thirds of the rows (`train`) or the others (`test`).

    Args:
        folder: the data folder of all sets.
        split: `train` or `test`.
        settings: the others of `touchstone.data.tables.table.load`.

    Raises:
        UsageError: the file cannot be had, or settings do not go with it.
    """
    return table.load(fetch(ADULT, folder), split, test=1 / 3, **settings)
