"""GANomaly: a sample's code, and that of what the decoder makes of it."""

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss, softplus

from touchstone.authenticity.autoencoder import Decoder, Encoder, check_shape
from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.learning import frozen, learn, seeded
from touchstone.data.split import Split
from touchstone.trained import Trained


class GANomaly(Detector):
    """The distance of two codes (Akcay et al. 2018, GANomaly, arXiv 1805.06725).

    An encoder and a decoder, `x̂ = G(x)`, a second encoder E of `x̂`, and a discriminator, all four
    its own, learn from the genuine items alone to make `x̂` and its code E(x̂) like x and its code
    G_E(x). Of what is not genuine they have learned no codes.

    The score is equation 5's, as it is. The paper goes on to scale the scores of the test set to
    [0, 1] by their least and greatest (equation 6): an item's score then depends on which others
    are scored with it, and batch by batch it is not even in one order. Nothing of that here.

    Args:
        latent_size: numbers in a code; the paper's is 100.
        iterations: of its training.
    """

    def __init__(self, latent_size: int = 100, iterations: int = 600) -> None:
        super().__init__()
        self.latent_size, self.iterations = latent_size, iterations

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Makes the networks; those of the run are not needed."""
        check_shape(shape, "ganomaly")
        super().prepare(trained, shape)
        with seeded(0):
            self.encoder = Encoder(shape, self.latent_size)
            self.decoder = Decoder(shape, self.latent_size)
            self.second_encoder = Encoder(shape, self.latent_size)
            self.discriminator = Encoder(shape, 1)
        self.to(memory_format=torch.channels_last).eval()

    def fit(self, genuine: Split) -> None:
        """Trains the networks, the players at the same time."""
        self.train()
        learn(self.loss, self.parameters(), genuine, iterations=self.iterations, name="ganomaly")
        self.eval()

    def loss(self, samples: Tensor, iteration: int) -> Tensor:
        """Equation 4 for the generator, its weights 1, 50 and 1, and the discriminator's loss.

        Each gives gradients to its own player alone, so that their sum may be minimised.
        """
        discriminator = self.discriminator
        codes, made, codes_again = self.reconstruct(samples)
        expected = discriminator.features(samples)
        with frozen(discriminator):
            seen = discriminator.features(made)
        adversarial = mse_loss(seen.float(), expected.detach().float())  # equation 1
        contextual = l1_loss(made, samples)  # equation 2
        encoder = mse_loss(codes_again, codes)  # equation 3

        real = discriminator.dense(expected).float()
        fake = discriminator(made.detach()).float()
        told_apart = softplus(-real).mean() + softplus(fake).mean()
        return adversarial + 50 * contextual + encoder + told_apart

    def reconstruct(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`z = G_E(x)`, `x̂ = G_D(z)` and `ẑ = E(x̂)`."""
        codes = self.encoder(samples)
        made = self.decoder(codes)
        return codes.float(), made.float(), self.second_encoder(made).float()

    def score(self, samples: Tensor) -> Tensor:
        """Equation 5, `|G_E(x) - E(G(x))|`, the mean over the code: `(N,)`."""
        codes, _, codes_again = self.reconstruct(samples)
        return (codes - codes_again).abs().mean(dim=1)

    def map(self, samples: Tensor) -> Tensor:
        """`|x - x̂|`, the mean over the channels: `(N, H, W)`."""
        return (samples - self.reconstruct(samples)[1]).abs().mean(dim=1)
