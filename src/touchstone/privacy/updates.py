"""Private updates of a game's discriminator (DPGAN, Xie et al. 2018, arXiv 1802.06739)."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from touchstone.draws import Draws, seed_layers
from touchstone.gan import GAN, Due, Part, Seen
from touchstone.privacy.mechanism import Mechanism
from touchstone.privacy.per_record import gradients, held
from touchstone.privacy.records import Records

CHUNK = 64  # records whose gradients are held at once, unless `micro_batch` says otherwise


class Private:
    """Carries out a game's updates so that no record makes much of a difference to them.

    The discriminator learns by DP-SGD: of a Poisson sample of the records each one's gradient,
    beside a fake sample, is clipped, and noise added to their sum. The generator learns as usual,
    from the discriminator alone. What the networks become is (epsilon, delta)-private (differs by
    no more than that if a record is left out or added), and so is what they make.

    What a record's gradient depends on besides the record must not depend on the others, or one
    record more would change more than its own. So the fake samples are of a number that is always
    the same, since batch normalization in the generator has them depend on each other, and each
    record has one drawn for itself; that, dropout and the terms' draws come from the secret, for
    who knew the numbers in their order would see them shift from record to record. And nothing of
    the records' losses and logits is shown.

    `images` counts the records that a sample has in expectation.

    Args:
        game: whose discriminator judges each sample by itself.
        records: what it samples.
        mechanism: what it does to the gradients.
    """

    def __init__(self, game: GAN, records: Records, mechanism: Mechanism) -> None:
        self._game, self._records, self._mechanism = game, records, mechanism
        self._update = 0

    def __call__(self, due: Due, samples: Tensor, labels: Tensor | None) -> Seen:
        """Updates both networks; the samples given are not looked at."""
        self._update = self._game.images // self._mechanism.expected
        return self._game.updates(due, samples, labels, self._discriminate)

    def _discriminate(self, parts: Sequence[Part], names: Collection[str], keep: bool) -> Seen:
        game, update = self._game, self._update
        self._update += 1
        fakes = torch.cat([game.fakes(part, keep) for part in parts])
        latents = torch.cat([part.latents for part in parts])
        # The ordinary noise goes on where it stood, however many records there were.
        devices = [game.device] if game.device.type == "cuda" else []
        with torch.random.fork_rng(devices), held(game.discriminator):
            sums = self._sums(update, fakes, latents, names)
        released = self._mechanism.released(sums, update)
        for weight, gradient in zip(game.discriminator.parameters(), released, strict=True):
            # Laid out as the weight, whose memory a fused optimizer reads beside it.
            weight.grad = torch.empty_like(weight).copy_(gradient)
        return game.step_discriminator()

    def _sums(
        self, update: int, fakes: Tensor, latents: Tensor, names: Collection[str]
    ) -> list[Tensor]:
        """The sums of the records' clipped gradients."""
        game, secret = self._game, self._mechanism.secret
        draws = Draws(secret.seed("draws", update), game.device)
        seed_layers(secret.seed("dropout", update), game.device)
        records = self._records.sample(update)
        beside = (draws.uniform(len(records)) * len(fakes)).long()
        sums = [torch.zeros_like(weight) for weight in game.discriminator.parameters()]
        chunk = game.micro_batch or CHUNK
        for start in range(0, len(records), chunk):
            own, which = records[start : start + chunk], beside[start : start + chunk]
            part = Part(own, None, latents[which], draws)
            found = gradients(game, part, fakes[which], names)
            for total, clipped in zip(sums, self._mechanism.clipped(found), strict=True):
                total += clipped
        return sums
