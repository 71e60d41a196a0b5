"""Copies of members among the synthetic records: a check on copying, and no proof of privacy."""

from dataclasses import dataclass

from torch import Tensor

from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.metrics.neighbours import nearest
from touchstone.privacy.intervals import Estimate, rate
from touchstone.privacy.membership import halves

NEAR = 0.01  # the share of other people who are as near to a member as a near copy is


@dataclass(frozen=True)
class Copies:
    """How often records are members' copies, with 95 % intervals.

    Attributes:
        exact: the share of synthetic records that equal a member's.
        exact_control: the share of the holdout that does: people may be alike.
        near: the share of synthetic records within `radius` of a member's.
        near_control: the share of the holdout; about 1 %, or more where many are equally near.
        radius: the distance that 1 % of the holdout lie within of a member; of another half of it
            than `near_control`.
    """

    exact: Estimate
    exact_control: Estimate
    near: Estimate
    near_control: Estimate
    radius: float


def copies(synthetic: Tensor, members: Tensor, holdout: Tensor, seed: int = 0) -> Copies:
    """Looks for the nearest member of each synthetic record, and of each that was held out.

    Rates above the control's say that records were copied. Rates at or below it say nothing: what
    passes this check can be wide open to membership inference (Yao et al. 2025, The DCR Delusion,
    arXiv 2505.01524).

    Args:
        synthetic: `(S, F)`.
        members: `(N, F)`.
        holdout: records of the same kind that were not trained on, `(H, F)`.
        seed: of the holdout's halves.

    Raises:
        UsageError: no synthetic records, or a holdout too small for the radius.
    """
    if not len(synthetic):
        raise UsageError("the synthetic records: there are none to look for copies among")
    if len(holdout) < 2 / NEAR:
        raise UsageError(
            f"the holdout: {len(holdout)} records; what a near copy is needs {2 / NEAR:.0f}"
        )
    made, held_out = (nearest(rows, members, 1)[0][:, 0] for rows in (synthetic, holdout))
    measured, control = halves(held_out, derive(seed, "copies"))
    radius = float(measured.sort().values[int(NEAR * len(measured)) - 1])
    return Copies(
        exact=_share(made == 0),
        exact_control=_share(held_out == 0),
        near=_share(made <= radius),
        near_control=_share(control <= radius),
        radius=radius,
    )


def _share(found: Tensor) -> Estimate:
    return rate(int(found.sum()), len(found))
