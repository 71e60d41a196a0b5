"""Points in the plane over the discriminator's field, in a real trainer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from pytorch_lightning import LightningDataModule, Trainer
from torch import Tensor, nn

from touchstone.callbacks import Field, Samples
from touchstone.callbacks.field import CELLS, COLOURS, SIDE, STRIP, animate, draw, field
from touchstone.data import Images, Points, Split
from touchstone.errors import UsageError
from touchstone.gan import GAN
from touchstone.losses import Wasserstein
from touchstone.tracking.checkpoints import Checkpoints
from touchstone.tracking.loggers import Record
from touchstone.tracking.run import Run

BATCH = 4
CORNERS = torch.tensor([[0.8, 0.8], [-0.8, 0.8], [-0.8, -0.8], [0.8, -0.8]])


class Plane(nn.Module):
    """Moves latents a little."""

    latent_size = 2

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return 0.3 * latents + self.shift


class Slope(nn.Module):
    """The logit x + 10 y, and a hundred times the label; nothing at all while it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 10.0]))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        logits = samples @ self.weight * (not self.training)
        return logits if labels is None else logits + 100 * labels


class Data(LightningDataModule):
    """The same four points at each iteration."""

    def __init__(self, images: Split, iterations: int) -> None:
        super().__init__()
        self.images, self._iterations = images, iterations

    def train_dataloader(self) -> "Rows":
        return Rows(self.images.batch(torch.arange(BATCH)), self._iterations)


class Rows:
    """A loader: any iterable with a length."""

    def __init__(self, batch: Any, iterations: int) -> None:
        self.batches = [[batch]] * iterations

    def __iter__(self) -> Iterator[Any]:
        return iter(map(iter, self.batches))

    def __len__(self) -> int:
        return len(self.batches)


def game(iterations: int) -> GAN:
    rates: dict[str, Any] = dict.fromkeys(
        ("generator", "discriminator"), lambda given: torch.optim.SGD(given, lr=0.01)
    )
    return GAN(Plane(), Slope(), Wasserstein(), optimizers=rates, budget=iterations * BATCH)


def play(folder: Path, callback: Any, images: Split, iterations: int = 3) -> Run:
    run = Run.create(folder, "played", "", {})
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=[Record(run)],
        callbacks=[callback],
        plugins=[Checkpoints()],
        default_root_dir=run.path,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(game(iterations), datamodule=Data(images, iterations))
    return run


def test_a_run_leaves_pictures_and_an_animation_of_them(tmp_path: Path) -> None:
    run = play(tmp_path, Field(every=4), Points(CORNERS, None, ()))
    names = sorted(path.name for path in (run.path / "samples").iterdir())
    assert names == ["000000004.png", "000000008.png", "000000012.png", "animation.gif"]
    with PIL.Image.open(run.path / "samples" / "animation.gif") as animation:
        assert animation.size == (SIDE, SIDE + STRIP)
        assert animation.n_frames >= 3  # type: ignore[attr-defined]


def test_the_animation_is_of_what_lies_in_the_folder(tmp_path: Path) -> None:
    for number in range(250):
        PIL.Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number:09d}.png")
    PIL.Image.new("RGB", (8, 8), "blue").save(tmp_path / "last_n100_seed0.png")
    animate(tmp_path)
    reds = []
    with PIL.Image.open(tmp_path / "animation.gif") as animation:
        for frame in range(animation.n_frames):  # type: ignore[attr-defined]
            animation.seek(frame)
            reds.append(animation.convert("RGB").getpixel((0, 0)))
    # Every third, the last among them; which is held, in one frame.
    assert [red for red, _, blue in reds if blue == 0] == list(range(0, 250, 3))  # type: ignore[misc]


def test_one_picture_makes_no_animation(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "000000004.png")
    animate(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_field_is_the_discriminators_in_eval_mode_the_top_row_first() -> None:
    gan = game(1)
    gan.train()
    logits = field(gan, reach=2.0)
    assert logits.shape == (CELLS, CELLS)
    # x + 10 y at the corners of [-2, 2]².
    corners = [logits[0, 0], logits[0, -1], logits[-1, 0], logits[-1, -1]]
    assert [round(float(corner), 4) for corner in corners] == [18, 22, -22, -18]
    assert gan.discriminator.training


def test_a_conditional_field_is_the_largest_over_the_classes() -> None:
    gan = game(1)
    plain = field(gan, reach=2.0)
    gan.generator.classes = 3  # type: ignore[assignment]
    torch.testing.assert_close(field(gan, reach=2.0), plain + 200)


def test_colours_run_from_low_to_high_and_dots_lie_where_points_do() -> None:
    # Rising from left to right; the picture's reach is 2.
    logits = torch.linspace(-3, 5, CELLS).expand(CELLS, CELLS).contiguous()
    real, generated = torch.tensor([[1.0, 1.0]]), torch.tensor([[-1.0, -1.0], [9, 0]])
    picture = draw(logits, real, generated, 2.0, "0 images")
    assert picture.size == (SIDE, SIDE + STRIP)
    shown = np.asarray(picture).astype(int)
    assert abs(shown[300, 2] - COLOURS[0].numpy()).max() <= 2
    assert abs(shown[300, -3] - COLOURS[-1].numpy()).max() <= 2
    # (1, 1) lies three quarters to the right and a quarter down.
    assert shown[SIDE // 4, 3 * SIDE // 4].max() < 80
    red, green, _ = shown[3 * SIDE // 4, SIDE // 4]
    assert red > 180
    assert green < 80


def test_a_field_without_differences_is_drawn(tmp_path: Path) -> None:
    picture = draw(torch.zeros(CELLS, CELLS), CORNERS, CORNERS, 1.0, "0 images")
    assert picture.size == (SIDE, SIDE + STRIP)


def test_points_and_images_each_have_their_own_callback(tmp_path: Path) -> None:
    images = Images(torch.zeros(BATCH, 1, 2, 2, dtype=torch.uint8), None, ())
    with pytest.raises(UsageError, match=r"the shape \(1, 2, 2\); use callbacks=default"):
        play(tmp_path, Field(every=4), images)
    with pytest.raises(UsageError, match=r"the shape \(2,\); use callbacks=points"):
        play(tmp_path, Samples(every=4), Points(CORNERS, None, ()))
