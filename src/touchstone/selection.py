"""Which of the generated samples the generator learns from."""

import torch
from torch import Tensor, nn

from touchstone.losses import Loss


class TopK(nn.Module):
    """Has the generator learn from the k samples with the highest logits (Sinha et al. 2020).

    arXiv 2002.06224, section 3 and algorithm 1: the loss of the others, whose gradients may lead
    away from the data, is left out. k falls from the whole batch by a factor each epoch, until
    it is the least share. The discriminator's loss is as it was.

    Every process takes the best of its own part of the batch.

    Args:
        loss: the adversarial pair, in which a sample's term does not depend on the others.
        least: the share of the batch at which k stays, in (0, 1]; the paper's nu, 0.5.
        decay: of k, each epoch, in (0, 1]; the paper's gamma, 0.99.
        epoch: real images from one decay to the next; the paper's is once through the data.

    Attributes:
        relativistic: as the loss's.
        whole_batch: that whether a sample counts depends on the others.
        share: of the batch that counts, a scalar.

    Raises:
        ValueError: the loss compares a sample with the whole batch, or a number is out of range.
    """

    whole_batch = True
    share: Tensor

    def __init__(
        self, loss: Loss, least: float = 0.5, decay: float = 0.99, epoch: int = 50_000
    ) -> None:
        super().__init__()
        if loss.whole_batch:
            raise ValueError(
                f"selection=top_k leaves samples out of the loss, but {type(loss).__name__} "
                "compares each with the mean of all; take another loss, or no selection."
            )
        for name, value in (("least", least), ("decay", decay)):
            if not 0 < value <= 1:
                raise ValueError(f"selection.{name}={value} has to be more than 0 and at most 1.")
        if epoch < 1:
            raise ValueError(f"selection.epoch={epoch} has to be at least 1 image.")
        self.loss = loss
        self.relativistic = loss.relativistic
        self.least = least
        self.decay = decay
        self.epoch = epoch
        self.register_buffer("share", torch.ones(()))

    def advance(self, images: int) -> None:
        """Sets the share to where it is after so many real images."""
        self.share.fill_(max(self.decay ** (images // self.epoch), self.least))

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The loss's own, of all samples."""
        return self.loss.discriminator(real_logits, fake_logits)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """The mean of the loss over the k samples of the highest logits, from logits `(N,)`.

        A relativistic loss pairs a selected sample with the real one at its place.
        """
        logits = [fake_logits] if real_logits is None else [fake_logits, real_logits]
        # A batch for each sample: a loss is a mean, and its mean over one is that one's own.
        losses: Tensor = torch.vmap(self.loss.generator)(*(each[:, None] for each in logits))
        # A mask, and no slice, for the shapes stay as k moves.
        ranks = fake_logits.argsort(descending=True, stable=True).argsort()
        k = (self.share * len(fake_logits)).round().clamp(min=1)
        return torch.where(ranks < k, losses, 0).sum() / k
