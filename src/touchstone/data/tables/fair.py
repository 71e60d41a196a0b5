"""A survey on marriage (Fair 1978, Journal of Political Economy 86): 6,366 women.

With the author's permission in the package statsmodels, BSD-3-Clause.
"""

from pathlib import Path
from typing import Any

from touchstone.data.tables import table
from touchstone.data.tables.archives import Member, fetch
from touchstone.data.tables.rows import Rows

FAIR = Member(
    name="fair",
    project="statsmodels",
    archives=r"statsmodels-0\.1[45]\.\d+-.*linux.*\.whl",  # Windows' ends lines another way
    path="statsmodels/datasets/fair/fair.csv",
    sha256="fd5f3f094a34fc35ca346a14c359e046ed27843038d6921efcd50a7ab21f6af0",
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
    return table.load(fetch(FAIR, folder), split, **settings)
