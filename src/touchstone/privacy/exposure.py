"""Who stands out: the records that a generator can hardly learn without giving them away."""

from torch import Tensor

from touchstone.metrics.neighbours import nearest


def exposure(records: Tensor, population: Tensor) -> Tensor:
    """The distance of each record to the nearest one of a population.

    Args:
        records: `(N, F)`.
        population: `(M, F)`, with none of the records in it.

    Returns:
        Float64 `(N,)`: the higher, the more of an outlier a record is.
    """
    return nearest(records, population, 1)[0][:, 0]
