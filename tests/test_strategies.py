"""Two processes play the game of one: the same global batch gives the same training.

Run as a program, `python test_strategies.py FOLDER` plays every game in its process, which the
variables of the environment make one of several, and writes what the networks came to.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from touchstone import losses
from touchstone.augmentations import InstanceNoise
from touchstone.batch_norm import synchronized
from touchstone.data.images import Images
from touchstone.data.module import Data
from touchstone.gan import GAN
from touchstone.schedules import Cosine
from touchstone.strategies import Processes
from touchstone.terms import penalties
from touchstone.tracking.checkpoints import Checkpoints

BATCH, ITERATIONS, SIDE = 64, 50, 4


class Generator(nn.Module):
    latent_size = 8

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, SIDE * SIDE))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        samples: Tensor = self.layers(latents).tanh().view(-1, 1, SIDE, SIDE)
        return samples


class Discriminator(nn.Module):
    """Smooth, so that the last digits of its weights do not decide which way a unit goes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.Softplus(), nn.Flatten(), nn.Linear(32, 1)
        )

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(samples).squeeze(1)
        return logits


class NormalizedGenerator(Generator):
    def __init__(self) -> None:
        super().__init__()
        self.layers.insert(1, nn.BatchNorm1d(32))
        synchronized(self)


class NormalizedDiscriminator(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        self.layers.insert(1, nn.BatchNorm2d(8))
        synchronized(self)


Settings = dict[str, Any]
GAMES: dict[str, Callable[[], Settings]] = {
    "vanilla": lambda: {"loss": losses.Vanilla(smoothing=0.1)},
    "least_squares": lambda: {"loss": losses.LeastSquares()},
    "wasserstein": lambda: {
        "loss": losses.Wasserstein(),
        "constraint": penalties.WeightClipping(0.1),
        "critic_steps": 3,
    },
    "hinge": lambda: {"loss": losses.Hinge()},
    "relativistic": lambda: {"loss": losses.Relativistic()},
    "relativistic_average": lambda: {"loss": losses.RelativisticAverage()},
    "gradient_penalty": lambda: {
        "loss": losses.Wasserstein(),
        "terms": {"gradient_penalty": penalties.GradientPenalty(10.0)},
        "critic_steps": 2,
    },
    "r1_and_r2": lambda: {
        "loss": losses.Relativistic(),
        "terms": {"r1": penalties.R1(1.0, every=4), "r2": penalties.R2(1.0, every=3)},
    },
    "dragan": lambda: {"terms": {"dragan": penalties.DRAGAN(1.0, variance=0.1)}},
    "drift": lambda: {"terms": {"drift": penalties.Drift(0.1)}},
    "lecam": lambda: {"terms": {"lecam": penalties.LeCam(0.3, decay=0.9)}},
    "noise_clip_and_schedule": lambda: {
        "augmentation": InstanceNoise(0.2),
        "gradient_clip": 0.05,
        "schedule": Cosine(),
    },
    "synchronized": lambda: {
        "generator": NormalizedGenerator(),
        "discriminator": NormalizedDiscriminator(),
        "critic_steps": 2,
    },
    "micro_batches": lambda: {
        "terms": {"gradient_penalty": penalties.GradientPenalty(1.0)},
        "augmentation": InstanceNoise(0.2),
        "critic_steps": 2,
        "micro_batch": 16,
    },
}


HALVES = ("lecam", "noise_clip_and_schedule")


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=2e-3, betas=(0.0, 0.9), eps=1e-3)


def play(
    name: str, devices: int, until: int = ITERATIONS, start: Path | None = None
) -> tuple[GAN, Trainer]:
    """Trains for so many iterations of 64 images, of 50 in the end, over all processes."""
    torch.manual_seed(0)
    settings = GAMES[name]()
    critic_steps = settings.get("critic_steps", 1)
    budget = ITERATIONS * BATCH * critic_steps
    gan = GAN(
        settings.pop("generator", None) or Generator(),
        settings.pop("discriminator", None) or Discriminator(),
        settings.pop("loss", losses.Vanilla()),
        optimizers={"generator": adam, "discriminator": adam},
        budget=budget,
        **settings,
    )
    pixels = torch.randint(256, (100, 1, SIDE, SIDE), dtype=torch.uint8)
    images = Images(pixels, None, ())
    stop = until * BATCH * critic_steps
    data = Data(images, batch_size=BATCH, critic_steps=critic_steps, seed=0, budget=stop)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=devices,
        strategy=Processes() if devices > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[Checkpoints()],
    )
    trainer.fit(gan, datamodule=data, ckpt_path=start, weights_only=True)
    assert gan.images == stop
    return gan, trainer


def main(folder: Path, devices: int) -> None:
    torch.set_num_threads(1)
    for name in GAMES:
        gan, _ = play(name, devices)
        torch.save(gan.state_dict(), folder / f"{name}{rank()}.pt")
    for name in HALVES:
        _, trainer = play(name, devices, until=ITERATIONS // 2)
        trainer.save_checkpoint(folder / f"{name}.ckpt")


def rank() -> int:
    return int(os.environ.get("LOCAL_RANK", 0))


def start(folder: Path, devices: int) -> list["subprocess.Popen[str]"]:
    """Starts as many processes of this file, each told of the others as Lightning tells it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(devices)}
    return [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), str(devices)],
            env=os.environ | shared | {"LOCAL_RANK": str(number), "NODE_RANK": "0"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(devices)
    ]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The folders of what one process and two processes came to."""
    folders = {devices: tmp_path_factory.mktemp(f"by{devices}") for devices in (1, 2)}
    for process in [one for devices, folder in folders.items() for one in start(folder, devices)]:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    return folders


@pytest.mark.parametrize("name", GAMES)
def test_two_processes_of_32_train_as_one_of_64(played: dict[int, Path], name: str) -> None:
    alone = torch.load(played[1] / f"{name}0.pt", weights_only=True)
    first, second = (torch.load(played[2] / f"{name}{i}.pt", weights_only=True) for i in (0, 1))
    for key, value in alone.items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], value, rtol=1e-5, atol=2e-6, msg=key)
    torch.manual_seed(0)
    for network, module in (("generator", Generator()), ("discriminator", Discriminator())):
        for key, value in module.state_dict().items():
            if key.endswith("0.weight"):
                assert float((alone[f"{network}.{key}"] - value).abs().max()) > 0.01, key


@pytest.mark.parametrize("name", HALVES)
def test_one_process_goes_on_with_what_two_began(played: dict[int, Path], name: str) -> None:
    alone = torch.load(played[1] / f"{name}0.pt", weights_only=True)
    gan, _ = play(name, devices=1, start=played[2] / f"{name}.ckpt")
    for key, value in gan.state_dict().items():
        torch.testing.assert_close(value, alone[key], rtol=1e-5, atol=2e-6, msg=key)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
