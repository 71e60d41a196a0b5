"""A generator that is asked for a value has to give it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from touchstone.terms.term import Creation, Term


class Condition(Term):
    """`-E log p_i(k)`, k being the value that category i was asked for (Xu et al. 2019, CTGAN).

    arXiv 1907.00503, section 4.3: the cross-entropy between the condition's mask and the category
    as it was generated. That is, as the generator's logits have it: of the category with its noise,
    whose softmax is sharp, the cross-entropy says less, and classifiers that learned from the rows
    of Adult came to an AUC of 0.845 in place of 0.867.

    Args:
        weight: of the term; the paper adds it as it is.
        layout: the blocks of a row, `("number", K)` or `("category", K)`; conditions are the values
            of the categories, in order.
        every: generator updates from one application to the next.
    """

    def __init__(self, weight: float, layout: Sequence[tuple[str, int]], every: int = 1) -> None:
        super().__init__(weight, every)
        self.kinds = [kind for kind, _ in layout]
        self.sizes = [size for _, size in layout]

    def generator(self, creation: Creation) -> Tensor:
        """The mean over rows `(N, F)`."""
        assert creation.labels is not None
        generator, _ = creation.networks
        logits: Tensor = generator.logits(creation.fake, creation.latents)  # type: ignore[operator]
        choices = zip(self.kinds, torch.split(logits, self.sizes, dim=1), strict=True)
        categories = [choice.log_softmax(dim=1) for kind, choice in choices if kind == "category"]
        return -torch.cat(categories, dim=1).gather(1, creation.labels[:, None]).mean()
