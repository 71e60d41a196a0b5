"""Multiply-adds, counted by hand and against the training itself."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from touchstone import cost
from touchstone.augmentations import InstanceNoise
from touchstone.gan import GAN
from touchstone.losses import Relativistic, Vanilla, Wasserstein
from touchstone.networks import dcgan, resnet
from touchstone.networks.heads import Auxiliary, Logit
from touchstone.terms import Term
from touchstone.terms.classification import Classification
from touchstone.terms.penalties import R1, Drift, GradientPenalty, LeCam, WeightClipping

GENERATOR, DISCRIMINATOR = 3 * 5, 5 * 1


class Generator(nn.Linear):
    latent_size = 3

    def __init__(self) -> None:
        super().__init__(3, 5)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(latents)


class Discriminator(nn.Linear):
    def __init__(self) -> None:
        super().__init__(5, 1)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(samples).squeeze(1)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01)


def game(
    generator: nn.Module | None = None, discriminator: nn.Module | None = None, **settings: Any
) -> GAN:
    loss = settings.pop("loss", Wasserstein())
    optimizers = {"generator": sgd, "discriminator": sgd}
    return GAN(
        generator or Generator(),
        discriminator or Discriminator(),
        loss,
        optimizers=optimizers,
        **settings,
    )


class Fused(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


def test_layers_by_their_formulas() -> None:
    assert cost.multiply_adds(nn.Linear(3, 5), torch.zeros(1, 3)) == 15
    assert cost.multiply_adds(nn.Linear(3, 5), torch.zeros(4, 3)) == 60
    strided = nn.Conv2d(3, 8, 5, stride=2, padding=2)
    assert cost.multiply_adds(strided, torch.zeros(1, 3, 12, 10)) == 3 * 8 * 25 * 6 * 5
    grouped = nn.Conv2d(4, 8, 3, padding=1, groups=2)
    assert cost.multiply_adds(grouped, torch.zeros(1, 4, 6, 6)) == 2 * 8 * 9 * 36
    # A transposed convolution multiplies each place of its input by each of the kernel.
    transposed = nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1)
    assert cost.multiply_adds(transposed, torch.zeros(1, 3, 6, 6)) == 3 * 8 * 16 * 36


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("frozen", [True, False])
def test_attention_counts_whatever_is_asked_for(
    context: Callable[[], AbstractContextManager[None]], frozen: bool
) -> None:
    """Without gradients torch would run it as one operation, of which no formula is known."""
    places, size = 5, 8
    layer, fused = nn.MultiheadAttention(size, 2, batch_first=True), Fused()
    layer.requires_grad_(not frozen)
    x = torch.zeros(1, places, size)
    products = 2 * places**2 * size
    with context():
        assert cost.multiply_adds(layer, x, x, x) == 4 * places * size**2 + products
        assert cost.multiply_adds(fused, x.view(1, places, 2, 4).movedim(2, 1)) == products


@pytest.mark.parametrize("normalization", ["none", "batch", "layer", "spectral"])
def test_a_discriminator_by_its_table(normalization: str) -> None:
    network = dcgan.Discriminator(32, 3, 8, normalization)
    layers = (3, 8, 16), (8, 16, 8), (16, 32, 4)
    table = sum(16 * inputs * outputs * side**2 for inputs, outputs, side in layers) + 16 * 32
    assert cost.multiply_adds(network, torch.zeros(1, 3, 32, 32)) == table


@pytest.mark.parametrize(
    ("settings", "image"),
    [
        # Discriminator: real and fake forward, and backward to its weights. Generator: forward,
        # through the discriminator, back through it to the samples, and to its weights.
        ({}, GENERATOR + 4 * DISCRIMINATOR + 2 * DISCRIMINATOR + GENERATOR),
        ({"critic_steps": 5}, 15 + 4 * 5 + (2 * 5 + 15) / 5),
        ({"loss": Relativistic()}, 15 + 4 * 5 + 3 * 5 + 15),
        # Forward, back to the sample, and from the gradient's norm to the weights.
        ({"terms": {"gp": GradientPenalty(10.0)}}, 15 + 4 * 5 + 2 * 5 + 15 + 3 * 5),
        ({"terms": {"r1": R1(10.0, every=16)}}, 15 + 4 * 5 + 2 * 5 + 15 + 3 * 5 / 16),
        (
            {
                "terms": {
                    "r1": R1(10.0, every=4),
                    "gp": GradientPenalty(10.0, every=3),
                    "drift": Drift(0.001),
                    "lecam": LeCam(0.1, every=2),
                },
                "critic_steps": 2,
            },
            15 + 4 * 5 + 3 * 5 / 4 + 3 * 5 / 3 + (2 * 5 + 15) / 2,
        ),
        (
            {"constraint": WeightClipping(0.01), "augmentation": InstanceNoise(0.1)},
            15 + 4 * 5 + 2 * 5 + 15,
        ),
    ],
)
def test_training_by_hand(settings: dict[str, Any], image: float) -> None:
    assert cost.of_game(game(**settings)) == {
        "generator": GENERATOR,
        "discriminator": DISCRIMINATOR,
        "image": pytest.approx(image, rel=1e-12),
    }


def train(gan: GAN, batch: int, counter: Any, iterations: int = 1) -> int:
    """Trains, by a trainer and on real tensors, while `counter` counts; gives the images shown."""
    shape = gan.generator.eval()(torch.zeros(1, gan.latent_size)).shape[1:]
    images = gan.critic_steps * batch
    batches = DataLoader(
        TensorDataset(torch.rand(iterations * images, *shape)),
        batch_size=images,
        collate_fn=lambda rows: [(torch.stack([sample for (sample,) in rows]), None)],
    )
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with counter:
        trainer.fit(gan.train(), batches)
    return iterations * images


@pytest.mark.parametrize(
    "networks",
    [
        lambda: (dcgan.Generator(8, 16, 1, 4), dcgan.Discriminator(16, 1, 4, "batch")),
        lambda: (dcgan.Generator(8, 14, 3, 4), dcgan.Discriminator(14, 3, 4, "spectral")),
        lambda: (resnet.Generator(8, 32, 3, 4), resnet.Discriminator(32, 3, 4, "spectral")),
    ],
    ids=["batch", "spectral", "residual"],
)
@pytest.mark.parametrize("critic_steps", [1, 3])
@pytest.mark.filterwarnings("ignore")
def test_training_by_the_counter_of_torch(
    networks: Callable[[], tuple[nn.Module, nn.Module]], critic_steps: int
) -> None:
    gan = game(*networks(), critic_steps=critic_steps, loss=Relativistic())
    image = cost.of_game(gan)["image"]
    counter = FlopCounterMode(display=False)
    images = train(gan, 5, counter)
    assert counter.get_total_flops() == 2 * image * images


@pytest.mark.parametrize(
    ("penalties", "critic_steps", "iterations"),
    [
        ({"gp": GradientPenalty(10.0)}, 2, 1),
        ({"r1": R1(10.0, every=4), "drift": Drift(0.001)}, 2, 2),
        ({"r1": R1(10.0, every=4), "gp": GradientPenalty(1.0, every=2)}, 1, 4),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_penalties_by_their_own_training(
    penalties: dict[str, Term], critic_steps: int, iterations: int
) -> None:
    """Their gradients of gradients, which torch's counter cannot follow, as they really run."""
    networks = dcgan.Generator(8, 16, 1, 4), dcgan.Discriminator(16, 1, 4, "spectral")
    gan = game(*networks, critic_steps=critic_steps, terms=penalties)
    image = cost.of_game(gan)["image"]
    counter = cost._Counter()
    images = train(gan, 3, counter, iterations)
    assert counter.multiply_adds == image * images


def test_nothing_of_the_game_is_touched() -> None:
    networks = dcgan.Generator(8, 16, 1, 4), dcgan.Discriminator(16, 1, 4, "spectral")
    gan = game(*networks, terms={"lecam": LeCam(0.1), "gp": GradientPenalty(1.0)})
    gan.generator.append = nn.Dropout()
    gan.images = 17
    weights = {name: value.clone() for name, value in gan.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    before = cost.of_game(gan)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in gan.state_dict().items())
    assert all(parameter.grad is None for parameter in gan.parameters())
    assert gan.training
    assert gan.images == 17
    assert list(gan.terms) == ["lecam", "gp"]
    gan.images = 0
    assert cost.of_game(gan) == before


class Conditional(Generator):
    """A generator of four classes, each with a weight matrix of its own."""

    classes = 4

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        return super().forward(latents) + nn.functional.one_hot(labels, 4).float() @ self.table

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(4, 5))


def test_a_conditional_game_is_given_labels() -> None:
    figures = cost.of_game(game(Conditional()))
    assert figures["generator"] == 15 + 4 * 5
    assert figures["image"] == 35 + 4 * 5 + 2 * 5 + 35


def test_a_cpu_does_not_tell_its_energy() -> None:
    assert cost.Energy(torch.device("cpu")).joules() is None


def test_a_term_that_needs_labels_is_counted() -> None:
    """The head's classes are one more dense layer: 3 of 32 features, at each pass of a sample."""
    adam = dict.fromkeys(("generator", "discriminator"), torch.optim.Adam)

    def counted(head: Any, **terms: Term) -> float:
        discriminator = dcgan.Discriminator(8, 1, 2, "layer", head=head)
        pair = dcgan.Generator(4, 8, 1, 2), discriminator
        return cost.of_game(GAN(*pair, Vanilla(), optimizers=adam, terms=terms))["image"]

    classes = counted(partial(Auxiliary, classes=3), classification=Classification(1.0))
    # Real and fake, each forward and twice backward; the generator's update once of each, for the
    # discriminator's weights need no gradient then.
    assert classes - counted(Logit) == 3 * 32 * (2 * 3 + 2)
