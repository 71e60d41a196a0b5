"""Geometry against SciPy, colour against the paper's matrices, and the probability by hand."""

import copy
import subprocess
import sys
from collections.abc import Sequence
from math import log, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation
from torch import Tensor
from torchvision.transforms import functional

from touchstone.augmentations import AdaptiveAugmentation
from touchstone.augmentations.adaptive import SAFE, TRANSFORMATIONS
from touchstone.draws import Draws, Share

NOW = torch.zeros(())
ALL = list(TRANSFORMATIONS)
GEOMETRY, COLOUR = ALL[:7], ALL[7:]


class Constant:
    """Draws of one number each."""

    def __init__(self, uniform: float = 0.0, normal: float = 0.0) -> None:
        self.numbers = {"uniform": uniform, "normal": normal}

    def uniform(self, size: int, *shape: int) -> Tensor:
        return torch.full((size, *shape), self.numbers["uniform"])

    def normal(self, size: int, *shape: int) -> Tensor:
        return torch.full((size, *shape), self.numbers["normal"])


class OnMeta:
    """Draws without numbers, which show whether anybody reads them."""

    def uniform(self, size: int, *shape: int) -> Tensor:
        return torch.empty(size, *shape, device="meta")

    normal = uniform


def ada(names: Sequence[str] = SAFE, probability: float = 1.0) -> AdaptiveAugmentation:
    made = AdaptiveAugmentation(names)
    made.probability.fill_(probability)
    return made


def pictures(size: int = 4, channels: int = 3, height: int = 12, width: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return 2 * torch.rand(size, channels, height, width, generator=generator) - 1


def drawn(names: Sequence[str], draws: Draws, size: int) -> dict[str, Tensor]:
    """The numbers that a probability of 1 applies, in the order in which they are drawn."""
    numbers = {}
    for name, draw in TRANSFORMATIONS.items():
        numbers[name] = draw(draws, size).flatten(1).double()
        if name in names:
            draws.uniform(size, 2 if name == "rotation" else 1, 1)
        else:
            numbers[name].zero_()
    return numbers


def scaled(x: float, y: float) -> np.ndarray:
    return np.diag([x, y, 1.0])


def turned(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def moved(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


@pytest.mark.parametrize("names", [[name] for name in GEOMETRY] + [GEOMETRY], ids=str)
def test_geometry_against_the_papers_matrices_and_scipy(names: list[str]) -> None:
    images = pictures().double()
    result = ada(names)(images, Draws(9), NOW)
    numbers = drawn(names, Draws(9), len(images))
    height, width = images.shape[2:]
    for n, image in enumerate(images):
        (flip,), (quarters,), (shift), (scale,), (before, after), (aspect,), (fraction) = (
            numbers[name][n].tolist() for name in GEOMETRY
        )
        # Figure 23: G is what has been done to the image so far; each transformation comes before.
        matrix = scaled(1 - 2 * flip, 1)
        matrix = turned(-pi / 2 * quarters) @ matrix
        matrix = moved(round(shift[0] * width), round(shift[1] * height)) @ matrix
        matrix = scaled(np.exp(scale), np.exp(scale)) @ matrix
        matrix = turned(before) @ matrix
        matrix = scaled(np.exp(aspect), np.exp(-aspect)) @ matrix
        matrix = turned(after) @ matrix
        matrix = moved(fraction[0] * width, fraction[1] * height) @ matrix
        rows, columns = np.mgrid[:height, :width]
        middle = np.array([(width - 1) / 2, (height - 1) / 2])[:, None]
        places = np.stack([columns.ravel(), rows.ravel()]) - middle
        sources = (np.linalg.inv(matrix) @ np.vstack([places, np.ones(places.shape[1])]))[:2]
        at = (sources + middle)[::-1]
        for channel, expected in zip(result[n], image, strict=True):
            read = map_coordinates(expected.numpy(), at, order=1, mode="mirror")
            np.testing.assert_allclose(channel.numpy().ravel(), read, atol=2e-5)


@pytest.mark.parametrize("names", [[name] for name in COLOUR] + [COLOUR], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_colour_against_the_papers_matrices(names: list[str], channels: int) -> None:
    images = pictures(channels=channels).double()
    result = ada(names)(images, Draws(9), NOW)
    numbers = drawn(names, Draws(9), len(images))
    axis = np.ones(3) / sqrt(3)
    along = np.outer(axis, axis)
    for n, image in enumerate(images):
        brightness, contrast, flip, hue, saturation = (numbers[name][n].item() for name in COLOUR)
        # Figure 23, on columns (r, g, b): the offset first, then the matrices.
        matrix = np.exp(contrast) * np.eye(3)
        matrix = (np.eye(3) - 2 * along * flip) @ matrix
        matrix = Rotation.from_rotvec(hue * axis).as_matrix() @ matrix
        matrix = (along + (np.eye(3) - along) * np.exp(saturation)) @ matrix
        colours = image.expand(3, -1, -1).flatten(1).numpy() + brightness
        expected = (matrix @ colours)[:channels]
        np.testing.assert_allclose(result[n].flatten(1).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "draws", "expected"),
    [
        ("brightness", Constant(normal=2), lambda x: x + 0.4),
        ("contrast", Constant(normal=2), lambda x: 2 * x),  # exp(2 * 0.5 ln 2)
        ("luma_flip", Constant(0.6), lambda x: x - 2 * x.mean(1, keepdim=True)),
        ("saturation", Constant(normal=-1), lambda x: (x + x.mean(1, keepdim=True)) / 2),
        ("hue", Constant(0.5 + 1 / 3), lambda x: x.roll(1, 1)),  # a third of a turn: r to g to b
        ("flip", Constant(0.6), lambda x: x.flip(3)),
        ("quarter_turns", Constant(0.3), lambda x: x.rot90(1, (2, 3))),
        ("quarter_turns", Constant(0.6), lambda x: x.rot90(2, (2, 3))),
        # An eighth of 16 is 2, for 0.99 nearly: 2 to the right and down, mirrored at the edges.
        ("integer_translation", Constant(0.99), lambda x: mirrored(x)[:, :, 1:17, 1:17]),
        ("fractional_translation", Constant(normal=1), lambda x: mirrored(x)[:, :, 1:17, 1:17]),
    ],
)
def test_single_transformations_by_hand(name: str, draws: Constant, expected: object) -> None:
    images = pictures(height=16, width=16)
    result = ada([name])(images, draws, NOW)
    torch.testing.assert_close(result, expected(images), rtol=0, atol=2e-5)  # type: ignore[operator]


def mirrored(images: Tensor) -> Tensor:
    """With 3 more pixels at each side, of which the outermost stays where it is."""
    return torch.nn.functional.pad(images, (3, 3, 3, 3), mode="reflect")


@pytest.mark.parametrize("share", [-0.3, 0.1, 0.35])
def test_rotation_against_torchvision(share: float) -> None:
    images = torch.zeros(1, 1, 25, 25)
    images[..., 8:17, 8:17] = pictures(1, 1, 9, 9)
    # Both rotations are by the same angle, together twice `share` of a turn, clockwise.
    result = ada(["rotation"])(images, Constant(0.5 + share), NOW)
    expected = functional.affine(
        images, 720 * share, [0, 0], 1, [0.0, 0.0], functional.InterpolationMode.BILINEAR
    )
    torch.testing.assert_close(result, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_probability_of_zero_changes_no_bit(channels: int, dtype: torch.dtype) -> None:
    images = pictures(channels=channels).to(dtype)
    result = AdaptiveAugmentation(ALL)(images, Draws(0), NOW)
    assert result.dtype == dtype
    assert torch.equal(result, images)


@pytest.mark.parametrize("name", ["rotation", "brightness", "fractional_translation"])
def test_each_is_applied_with_the_probability(name: str) -> None:
    images = pictures(1, 1, 8, 8).expand(4000, -1, -1, -1)
    changed = ada([name], 0.3)(images, Draws(0), NOW) != images
    share = changed.flatten(1).any(1).float().mean().item()
    assert share == pytest.approx(0.3, abs=4 * sqrt(0.3 * 0.7 / 4000))


def test_transformations_are_applied_independently_of_each_other() -> None:
    numbers = ada(ALL, 0.5)._numbers(torch.zeros(4000, 1, 2, 2), Draws(0))
    applied = torch.stack([numbers[name][:, -1, 0, 0] != 0 for name in SAFE]).float()
    assert applied.corrcoef().fill_diagonal_(0).abs().max() < 4 / sqrt(4000)


def test_the_numbers_have_the_papers_spread() -> None:
    draws, size = Draws(0), 20_000
    deviations = {name: draw(draws, size).std().item() for name, draw in TRANSFORMATIONS.items()}
    assert deviations == pytest.approx(
        {
            "flip": 1 / 2,
            "quarter_turns": sqrt(15 / 12),  # even on 0, 1, 2, 3
            "integer_translation": 0.25 / sqrt(12),
            "scaling": 0.2 * log(2),
            "rotation": 2 * pi / sqrt(12),
            "anisotropic_scaling": 0.2 * log(2),
            "fractional_translation": 0.125,
            "brightness": 0.2,
            "contrast": 0.5 * log(2),
            "luma_flip": 1 / 2,
            "hue": 2 * pi / sqrt(12),
            "saturation": log(2),
        },
        rel=0.02,
    )


def test_the_default_neither_turns_nor_mirrors() -> None:
    assert set(ALL) - set(ada().transformations) == {
        "flip", "quarter_turns", "rotation", "luma_flip", "hue",
    }  # fmt: skip


def test_two_processes_see_what_one_sees() -> None:
    images, change = pictures(8), ada(ALL, 0.6)
    halves = [
        change(half, Draws(1, share=Share(rank, 2)), NOW)
        for rank, half in enumerate(images.chunk(2))
    ]
    assert torch.equal(torch.cat(halves), change(images, Draws(1), NOW))


def test_half_precision_moves_places_no_further_than_full() -> None:
    images = pictures(channels=1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = ada(ALL)(images.bfloat16(), Draws(1), NOW)
    full = ada(ALL)(images.bfloat16().float(), Draws(1), NOW)
    assert torch.equal(mixed, full.bfloat16())


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_against_finite_differences(channels: int) -> None:
    images = pictures(2, channels, 4, 5).double().requires_grad_()
    change = ada(ALL, 0.7).double()
    assert torch.autograd.gradcheck(lambda x: change(x, Draws(2), NOW), images)


def test_nothing_is_read_from_the_device() -> None:
    change = ada(ALL).to("meta")
    images = torch.empty(4, 3, 28, 28, device="meta")
    assert change(images, OnMeta(), NOW).shape == images.shape
    change.observe(torch.empty(4, device="meta"))


def test_the_probability_goes_from_0_to_1_in_so_many_images_and_no_further() -> None:
    change = AdaptiveAugmentation(images=640)
    courses = []
    for logits in (torch.full((64,), 0.1), -torch.ones(64)):
        course = []
        for _ in range(11):
            change.observe(logits)
            course.append(change.probability.item())
        courses.append(course)
    assert courses[0] == pytest.approx([*(step / 10 for step in range(1, 11)), 1.0], abs=1e-6)
    assert courses[1] == pytest.approx([*(step / 10 for step in range(9, -1, -1)), 0], abs=1e-6)


@pytest.mark.parametrize(("positive", "step"), [(17, 0.25), (16, 0), (15, -0.25)])
def test_the_probability_turns_at_the_target(positive: int, step: float) -> None:
    # Of 20 logits 16 positive ones have a mean sign of (16 - 4) / 20 = 0.6: 0.6 in float32 too.
    logits = torch.full((20,), -3.0)
    logits[:positive] = 0.2
    change = AdaptiveAugmentation(images=80)
    change.probability.fill_(0.5)
    change.observe(logits)
    assert change.probability.item() == pytest.approx(0.5 + step)


def test_the_speed_is_the_papers_by_default() -> None:
    change = AdaptiveAugmentation()
    for _ in range(10):
        change.observe(torch.ones(64))
    assert change.probability.item() == pytest.approx(640 / 500_000)
    assert change.shown() == {"augmentation/probability": change.probability}


def test_a_resumed_one_goes_on_where_it_was() -> None:
    unbroken = AdaptiveAugmentation(images=500)
    unbroken.observe(torch.ones(64))
    resumed = AdaptiveAugmentation(images=500)
    resumed.load_state_dict(copy.deepcopy(unbroken.state_dict()))
    assert list(unbroken.state_dict()) == ["probability"]
    for change in (unbroken, resumed):
        change.observe(torch.ones(64))
    images = pictures()
    assert torch.equal(resumed(images, Draws(0), NOW), unbroken(images, Draws(0), NOW))
    assert resumed.probability.item() == pytest.approx(128 / 500)


def test_the_logits_of_all_processes_count(tmp_path: Path) -> None:
    # The second process's mean sign is (7 - 3) / 10 = 0.4, both processes' (1 + 0.4) / 2 = 0.7:
    # above the target, though its own is below. A step of 20 images of 100.
    program = """
import sys, torch
from torch import distributed
from touchstone.augmentations import AdaptiveAugmentation
rank = int(sys.argv[1])
distributed.init_process_group("gloo", f"file://{sys.argv[2]}", rank=rank, world_size=2)
logits, change = torch.ones(10), AdaptiveAugmentation(images=100)
logits[: 3 * rank] = -1
change.observe(logits)
print(round(change.probability.item(), 6))
distributed.destroy_process_group()
"""
    arguments = [sys.executable, "-c", program]
    processes = [
        subprocess.Popen(
            [*arguments, str(rank), str(tmp_path / "meeting")], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["0.2"] * 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"transformations": ["turn"]}, r"augmentation\.transformations has turn, .* rotation"),
        ({"target": 1.0}, r"augmentation\.target=1\.0 has to be between"),
        ({"images": 0}, r"augmentation\.images=0 has to be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveAugmentation(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 2, 8, 8), (4, 8)])
def test_other_samples_than_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="images of 1 or 3 channels, not samples of shape"):
        ada()(torch.zeros(shape), Draws(0), NOW)
