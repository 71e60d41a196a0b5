"""Points in the plane, and what the discriminator makes of it."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn
from torch.nn import functional

from touchstone.data.split import Split
from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.gan import GAN
from touchstone.pictures import picture, save_animation
from touchstone.sampling import evaluating, samples

SIDE, FINER = 600, 2  # pixels a side; the picture is drawn twice as large, so that dots are round
STRIP = 56  # pixels of the legend's height
CELLS = 150  # of the field, a side
BANDS = 16  # of colour, between which lie contours
MARGIN = 1.25  # the side that is shown over that of the square that holds the real points
FRAMES, MILLISECONDS, HELD = 100, 120, 10  # of the animation; its last frame is held for ten

# From "generated" over "undecided" to "real", all pale enough for dots to stand out.
COLOURS = torch.tensor(
    [[92, 134, 190], [178, 202, 226], [247, 246, 242], [246, 205, 150], [224, 150, 70]]
)
REAL, GENERATED, INK = (40, 44, 52), (200, 16, 96), (40, 44, 52)


class Field(Callback):
    """Shows real and generated points over the discriminator's logits every so many images.

    At every logger that can show pictures, under `samples`; at the end an animation of those that
    lie in the run's folder, `samples/animation.gif`, whichever process has made them.

    Args:
        every: images from one picture to the next.
        points: real ones, and generated ones, that are shown.
    """

    def __init__(self, every: int, points: int = 2000) -> None:
        self.every = every
        self.points = points

    def on_fit_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Takes the real points.

        Raises:
            UsageError: samples that are no points in the plane.
        """
        split: Split = trainer.datamodule.images  # type: ignore[attr-defined]
        if split.shape != (2,):
            raise UsageError(
                f"callbacks=points: it shows points in the plane, and a sample of these data is of "
                f"the shape {split.shape}; use callbacks=default"
            )
        first = torch.arange(min(self.points, len(split)), device=split.device)
        self._real = split.batch(first)[0].cpu()

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Makes the picture when it is due."""
        if not module.passed(self.every) or not trainer.is_global_zero:
            return
        seed = derive(module.seed, "samples")
        made = samples(module.average.network, self.points, seed=seed, device=module.device)
        generated = torch.cat(list(made)).float().cpu()
        reach = MARGIN * float(self._real.abs().max())
        logits = field(module, reach).cpu()
        shown = draw(logits, self._real, generated, reach, f"{module.images:,} images")
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("samples", [shown], step=module.images)

    def on_train_end(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Makes the animation."""
        if trainer.is_global_zero:
            animate(Path(trainer.default_root_dir) / "samples")


@torch.inference_mode()
def field(module: GAN, reach: float) -> Tensor:
    """The discriminator's logits on [-reach, reach]², the first row on top, `(CELLS, CELLS)`.

    Of a conditional discriminator the largest over the classes: real as whatever it may be.
    """
    discriminator = module.discriminator
    line = torch.linspace(-reach, reach, CELLS, device=module.device)
    down, across = torch.meshgrid(line.flip(0), line, indexing="ij")
    places = torch.stack([across, down], 2).view(-1, 2)
    with evaluating(discriminator):
        judged = [
            judge(discriminator, module.generator, part) for part in torch.split(places, 4096)
        ]
    return torch.cat(judged).view(CELLS, CELLS)


def judge(discriminator: nn.Module, generator: nn.Module, places: Tensor) -> Tensor:
    """The logits of places `(n, 2)`, `(n,)`."""
    classes = int(getattr(generator, "classes", 0) or 0)
    if not classes:
        return discriminator(places, None).float()  # type: ignore[no-any-return]
    label = torch.arange(classes, device=places.device)
    each = [discriminator(places, one.expand(len(places))).float() for one in label]
    return torch.stack(each).amax(0)


def draw(
    logits: Tensor, real: Tensor, generated: Tensor, reach: float, caption: str
) -> Image.Image:
    """Draws points over a field of logits, and a legend below it.

    The colours run from the logits' 2nd percentile to their 98th, in bands whose edges are
    contours: of a relativistic or a Wasserstein loss only differences mean something.

    Args:
        logits: `(H, W)`, the first row on top.
        real: points `(n, 2)`.
        generated: points `(n, 2)`.
        reach: the coordinate of the right and of the upper edge.
        caption: what the legend begins with.
    """
    side = SIDE * FINER
    low, high = torch.quantile(logits, torch.tensor([0.02, 0.98])).tolist()
    large = functional.interpolate(logits[None, None], (side, side), mode="bicubic")[0, 0]
    share = ((large - low) / max(high - low, 1e-12)).clamp(0, 1)
    canvas = picture(coloured((share * BANDS).floor().clamp(max=BANDS - 1) / (BANDS - 1)))
    pen = ImageDraw.Draw(canvas)
    for points, colour, radius in ((real, REAL, 1.2), (generated, GENERATED, 1.6)):
        places = (points * points.new_tensor([1, -1]) / reach + 1) * side / 2
        for x, y in places[(points.abs() <= reach).all(1)].tolist():
            dot(pen, x, y, radius * FINER, colour)
    outside = float((generated.abs() > reach).any(1).float().mean())
    whole = Image.new("RGB", (SIDE, SIDE + STRIP), "white")
    whole.paste(canvas.resize((SIDE, SIDE), Image.Resampling.BOX))
    caption += f", {outside:.0%} of the generated points outside" if outside >= 0.005 else ""
    whole.paste(legend(caption, low, high), (0, SIDE))
    return whole


def coloured(share: Tensor) -> Tensor:
    """Maps shares `(H, W)` in [0, 1] to colours, uint8 `(3, H, W)`, linearly between `COLOURS`."""
    place = share * (len(COLOURS) - 1)
    below = place.floor().long().clamp(max=len(COLOURS) - 2)
    mixed = torch.lerp(
        COLOURS[below].float(), COLOURS[below + 1].float(), (place - below)[..., None]
    )
    return mixed.round().byte().movedim(-1, 0)


def legend(caption: str, low: float, high: float) -> Image.Image:
    """What the dots and the colours mean, `SIDE` x `STRIP` pixels."""
    strip = Image.new("RGB", (SIDE * FINER, STRIP * FINER), "white")
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(13 * FINER)

    def write(x: int, y: int, text: str, anchor: str = "lm") -> None:
        pen.text((x * FINER, y * FINER), text, INK, font, anchor)

    write(10, 16, caption)
    for x, colour, word in ((15, REAL, "real"), (70, GENERATED, "generated")):
        dot(pen, x * FINER, 40 * FINER, 4 * FINER, colour)
        write(x + 10, 40, word)
    write(SIDE - 100, 16, "discriminator's logit", "mm")
    bar = coloured(torch.linspace(0, 1, 110 * FINER).expand(12 * FINER, -1))
    strip.paste(picture(bar), ((SIDE - 155) * FINER, 34 * FINER))
    write(SIDE - 160, 40, f"{low:.3g}", "rm")
    write(SIDE - 40, 40, f"{high:.3g}", "lm")
    return strip.resize((SIDE, STRIP), Image.Resampling.BOX)


def dot(
    pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> None:
    """Draws a dot."""
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def animate(folder: Path) -> None:
    """Makes `animation.gif` of a folder's pictures that are named by images, 100 at most.

    Of what lies there and not of what was seen, so that a run that was resumed has all of it.
    """
    paths = sorted(path for path in folder.glob("*.png") if path.stem.isdecimal())
    if len(paths) < 2:
        return
    step = -(-len(paths) // FRAMES)
    chosen = paths[::-step][::-1]  # the last one among them
    chosen += [chosen[-1]] * HELD
    frames = (Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE) for path in chosen)
    save_animation(frames, folder / "animation.gif", milliseconds=MILLISECONDS)
