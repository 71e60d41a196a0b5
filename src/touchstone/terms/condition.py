"""A generator that is asked for a value has to give it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from touchstone.terms.term import Creation, Term


class Condition(Term):
    """`-E log d_i(k)`, k being the value that category i was asked for (Xu et al. 2019, CTGAN).

    arXiv 1907.00503, section 4.3: the cross-entropy between the condition's mask and the category
    as it was generated.

    Args:
        weight: of the term; the paper adds it as it is.
        layout: the blocks of a row, `("number", K)` or `("category", K)`; conditions are the values
            of the categories, in order.
        every: generator updates from one application to the next.
    """

    places: Tensor

    def __init__(self, weight: float, layout: Sequence[tuple[str, int]], every: int = 1) -> None:
        super().__init__(weight, every)
        found, start = list[int](), 0
        for kind, size in layout:
            stop = start + size + (kind == "number")
            found += range(start, stop) if kind == "category" else ()
            start = stop
        self.register_buffer("places", torch.tensor(found), persistent=False)

    def generator(self, creation: Creation) -> Tensor:
        """The mean over rows `(N, F)`."""
        assert creation.labels is not None
        given = creation.fake.gather(1, self.places[creation.labels][:, None])
        # A softmax can be 0 where the other value is far ahead.
        return -(given + torch.finfo(given.dtype).tiny).log().mean()
