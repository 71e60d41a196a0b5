"""f-AnoGAN: what the run's generator makes in a sample's place."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from touchstone.authenticity.autoencoder import Encoder, check_shape
from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.examination import check, device_of, features
from touchstone.authenticity.learning import frozen, learn, seeded
from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.trained import Trained


class FAnoGAN(Detector):
    """What a generator of genuine items cannot make (Schlegl et al. 2019, f-AnoGAN).

    Medical Image Analysis 54, izi_f: an encoder E learns where in the latent space of the run's
    generator G, which stays as it is, an item lies, so that G(E(x)) is like x in its pixels and in
    the features f of the run's discriminator. How far it is from x is the score, too.

    Args:
        kappa: weight of the features' residual; the paper's is 1.
        iterations: of the encoder's training.
    """

    def __init__(self, kappa: float = 1.0, iterations: int = 1_000) -> None:
        super().__init__()
        self.kappa, self.iterations = kappa, iterations

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Makes the encoder.

        Raises:
            UsageError: samples that are no pictures, a run without a discriminator to look through,
                or a generator that is told labels.
        """
        check_shape(shape, "fanogan")
        check(trained, shape, "fanogan")
        if getattr(trained.generator, "classes", 0):
            raise UsageError(
                "detector=fanogan: the generator is told labels, which a new item has not: train "
                "with model.conditional=false"
            )
        super().prepare(trained, shape)
        latent_size = int(trained.generator.latent_size)  # type: ignore[arg-type]
        with seeded(0):
            self.encoder = Encoder(shape, latent_size)
        self.to(device_of(trained.generator)).to(memory_format=torch.channels_last).eval()

    def fit(self, genuine: Split) -> None:
        """Trains the encoder."""
        assert self.trained.discriminator is not None
        self.train()
        with frozen(self.trained.generator, self.trained.discriminator):
            learn(self.loss, self.parameters(), genuine, iterations=self.iterations, name="fanogan")
        self.eval()

    def loss(self, samples: Tensor, iteration: int) -> Tensor:
        """Equation 4: the scores' mean over the batch."""
        return self.residuals(samples, self.reconstruct(samples)).mean()

    def reconstruct(self, samples: Tensor) -> Tensor:
        """G(E(x))."""
        made: Tensor = self.trained.generator(self.encoder(samples))
        return made.float()

    def residuals(self, samples: Tensor, made: Tensor) -> Tensor:
        """`|x - G(E(x))|² / n + κ |f(x) - f(G(E(x)))|² / n_d`, `(N,)`."""
        pixels = mse_loss(made, samples, reduction="none").flatten(1).mean(dim=1)
        seen, expected = features(self.trained, made), features(self.trained, samples)
        return pixels + self.kappa * mse_loss(seen, expected, reduction="none").mean(dim=1)

    def score(self, samples: Tensor) -> Tensor:
        """Equation 5, `A_R(x) + κ A_D(x)`: `(N,)`."""
        return self.residuals(samples, self.reconstruct(samples))

    def map(self, samples: Tensor) -> Tensor:
        """`|x - G(E(x))|`, the mean over the channels: `(N, H, W)`."""
        return (samples - self.reconstruct(samples)).abs().mean(dim=1)
