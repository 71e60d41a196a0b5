"""What cannot be trained privately, and why."""

import copy
from typing import cast

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from touchstone.draws import Draws, seed_layers
from touchstone.errors import UsageError
from touchstone.gan import GAN, Part
from touchstone.privacy.per_record import gradients, held
from touchstone.selection import TopK
from touchstone.terms import Term


def refuse(game: GAN, shape: tuple[int, ...]) -> None:
    """Refuses a game in which a record's gradient is not its own, or the generator sees records.

    Args:
        game: as it would be trained.
        shape: of a record.

    Raises:
        UsageError: names the part.
    """
    for module in game.discriminator.modules():
        kind = type(module).__name__
        if isinstance(module, _BatchNorm):
            raise UsageError(
                f"privacy=dp with batch normalization in the discriminator ({kind}): it mixes a "
                "record with the others of the batch, so that no record's share can be bounded; "
                "use model.normalization=layer, spectral or none"
            )
        if getattr(module, "mixes_samples", False):
            raise UsageError(
                f"privacy=dp with {kind} in the discriminator: it judges samples together (by "
                "packing, or statistics of a batch), so that no record's share can be bounded; use "
                "model.pack=1 where there are packs, and a model and head without such layers"
            )
    # Top-k leaves out generated samples, and is nothing to the discriminator.
    loss = game.loss.loss if isinstance(game.loss, TopK) else game.loss
    if loss.relativistic:
        raise UsageError(
            f"privacy=dp with a relativistic loss ({type(loss).__name__}): the generator's update "
            "would see records; use another loss"
        )
    if loss.whole_batch:
        raise UsageError(
            f"privacy=dp with the loss {type(loss).__name__}: it compares a record with the others "
            "of the batch, so that no record's share can be bounded; use another loss"
        )
    for name, term in cast(dict[str, Term], game.terms).items():
        if reason := _reason(term):
            raise UsageError(f"privacy=dp with the term {name}: {reason}; leave it out")
    if hasattr(game.augmentation, "observe"):
        raise UsageError(
            f"privacy=dp with the augmentation {type(game.augmentation).__name__}: it follows what "
            "the discriminator says of the records, which is not accounted for; use "
            "augmentation=none or another that does not"
        )
    _check(game, shape)


def _reason(term: Term) -> str | None:
    """Why a term cannot be there."""
    if term.compares:
        return "the generator's update would see records"
    if term.needs_labels:
        return "it needs labels, which would reach the generator, too"
    if term.whole_batch:
        return "it looks at the batch as a whole, so that no record's share can be bounded"
    return None


def _check(gan: GAN, shape: tuple[int, ...]) -> None:
    """Refuses what says of itself that it minds each sample alone, and does not.

    On noise in place of records: one record's gradient has to stay as another record changes.
    """
    game = copy.deepcopy(gan).train()
    noise = Draws(0, game.device).normal(3, *shape)
    fake = noise.flip(0)[:2]
    found = []
    try:
        with held(game.discriminator):
            for real in (noise[[0, 1]], noise[[0, 2]]):
                seed_layers(0, game.device)
                draws = Draws(0, game.device)
                part = Part(real, None, draws.normal(2, game.latent_size), draws)
                own = gradients(game, part, fake, list(game.terms))
                found.append(torch.cat([each[0].flatten() for each in own]))
    except (AttributeError, RuntimeError) as error:
        raise UsageError(
            "privacy=dp: this discriminator, with these terms, cannot be copied for every record "
            f"({str(error).splitlines()[0]}); use another model, or other terms"
        ) from error
    first, again = found
    if not torch.allclose(first, again, rtol=1e-3, atol=1e-6):
        raise UsageError(
            "privacy=dp: with this discriminator and these terms, one record's gradient depends on "
            "another's, so that no record's share can be bounded; use another model, or other terms"
        )
