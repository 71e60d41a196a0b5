"""What the discriminator has learned of the classes of real samples."""

import torch
from torch import Tensor

from touchstone.data.images import normalize
from touchstone.errors import UsageError
from touchstone.metrics.sets import Sets
from touchstone.sampling import CHUNK, evaluating


class Recognition:
    """How well the discriminator's guesses on the test split agree with the labels.

    Of a head that guesses `classes` (ACGAN, semi-supervised): the share of test samples whose class
    it finds. Of one that guesses `categories` (InfoGAN), which are learned without labels: the
    share that agrees after each category is matched with one class, as Chen et al. 2016 do in
    section 7.2, with at most as many categories matched as there are classes; the matching is the
    best one on the training split. `recognition/chance` is what the most frequent class reaches.
    """

    higher_is_better = True
    extractor = None

    def check(self, sets: Sets) -> None:
        """Refuses a discriminator that guesses nothing, and data without labels."""
        if sets.discriminator is None or not hasattr(sets.discriminator, "examine"):
            raise UsageError(
                "metrics=recognition: it asks a run's discriminator for the classes: choose "
                "model=infogan, head=acgan or head=semi_supervised"
            )
        for name in ("train", "test"):
            split = sets.split(name)
            if split is None or split.labels is None:
                raise UsageError("metrics=recognition: it needs data with labels")
        if not GUESSES & set(_verdict(sets, "test", 0)):
            raise UsageError(
                "metrics=recognition: the discriminator's head guesses no classes: choose "
                "model=infogan, head=acgan or head=semi_supervised"
            )

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The accuracy on the test split, in [0, 1], and that of the most frequent class."""
        name, guesses, labels = _guessed(sets, "test")
        if name == "categories":
            _, seen, known = _guessed(sets, "train")
            guesses = matching(seen, known)[guesses]
        counts = labels.bincount()
        return {
            "recognition": float((guesses == labels).double().mean()),
            "recognition/chance": float(counts.max() / counts.sum()),
        }


GUESSES = {"classes", "categories"}


def matching(categories: Tensor, labels: Tensor) -> Tensor:
    """The class that each category stands for: the one-to-one matching of the most agreement.

    Args:
        categories: of samples, int64 `(N,)`.
        labels: theirs, int64 `(N,)`.

    Returns:
        For each category its class, -1 where there are more categories than classes, int64.
    """
    from scipy.optimize import linear_sum_assignment

    sizes = int(categories.max()) + 1, int(labels.max()) + 1
    together = torch.zeros(sizes, dtype=torch.int64)
    together.index_put_((categories, labels), torch.ones_like(labels), accumulate=True)
    rows, columns = linear_sum_assignment(together.numpy(), maximize=True)
    matched = torch.full((sizes[0],), -1)
    matched[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return matched


def _guessed(sets: Sets, split: str) -> tuple[str, Tensor, Tensor]:
    """What is guessed of a split's samples, the guesses and the labels, each `(N,)`."""
    samples = sets.split(split)
    assert samples is not None
    assert samples.labels is not None
    guesses: list[Tensor] = []
    name = ""
    for number in range(-(-len(samples) // CHUNK)):
        verdict = _verdict(sets, split, number)
        name = next(iter(GUESSES & set(verdict)))
        guesses.append(verdict[name].argmax(1).cpu())
    return name, torch.cat(guesses), samples.labels.cpu()


@torch.inference_mode()
def _verdict(sets: Sets, split: str, number: int) -> dict[str, Tensor]:
    """The discriminator's verdict on a chunk of a split, in eval mode."""
    samples, discriminator = sets.split(split), sets.discriminator
    assert samples is not None
    assert samples.labels is not None
    assert discriminator is not None
    device = next(discriminator.parameters()).device
    chunk = normalize(samples.source.chunk(number).to(device))
    # For a head that judges a sample by its label; what is guessed of the class goes without.
    labels = samples.labels[number * CHUNK : number * CHUNK + len(chunk)].to(device)
    with evaluating(discriminator):
        verdict: dict[str, Tensor] = discriminator.examine(chunk, labels)  # type: ignore[operator]
    return verdict
