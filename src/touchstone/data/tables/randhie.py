"""RAND's Health Insurance Experiment (Cameron and Trivedi 2005): 20,190 people's years.

In the public domain; out of the package statsmodels, BSD-3-Clause.
"""

from pathlib import Path
from typing import Any

from touchstone.data.tables import table
from touchstone.data.tables.archives import Member, fetch
from touchstone.data.tables.rows import Rows

RANDHIE = Member(
    name="randhie",
    project="statsmodels",
    archives=r"statsmodels-0\.1[45]\.\d+-.*linux.*\.whl",  # Windows' ends lines another way
    path="statsmodels/datasets/randhie/randhie.csv",
    sha256="9f6c87d05aef087a82cc4465310c8cd3f38327be6eafa43bd81fb98c4f3d088c",
)


def load(folder: str | Path, split: str = "train", **settings: Any) -> Rows:
    """Loads four fifths of the rows (`train`) or the others (`test`).

    Args:
        folder: the data folder of all sets.
        split: `train` or `test`.
        settings: the others of `touchstone.data.tables.table.load`.

    Raises:
        UsageError: the file cannot be had, or settings do not go with it.
    """
    return table.load(fetch(RANDHIE, folder), split, **settings)
