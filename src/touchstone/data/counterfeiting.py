"""What counterfeiters make of genuine prints: estimates of the template, printed again."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits, interpolate

from touchstone.augmentations import Turns
from touchstone.data.images import normalize
from touchstone.data.printing import PLATE, Press, Scanner, printed
from touchstone.draws import Draws, derive
from touchstone.symbols import PIXELS, enlarged

ITERATIONS = 1_200
BATCH = 64
CHUNK = 500


class Reader(nn.Module):
    """Reads each symbol off its neighbourhood in the picture, five symbols by five.

    Args:
        width: channels of its two hidden layers.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(PIXELS),  # the pixels of a symbol as channels
            nn.Conv2d(PIXELS**2, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, 1, 1),
        ).to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Tensor:
        """Maps pictures `(N, 1, 3 S, 3 S)` in [-1, 1] to the logits of black `(N, S, S)`."""
        logits: Tensor = self.layers(pictures)
        return logits[:, 0]

    @torch.no_grad()
    def read(self, pictures: Tensor) -> Tensor:
        """The logits of black `(N, S, S)` in pictures, uint8 `(N, 3 S, 3 S)`."""
        parts = torch.split(pictures[:, None], CHUNK)
        return torch.cat([self(normalize(part)) for part in parts])


def trained_reader(
    pictures: Tensor, symbols: Tensor, seed: int, iterations: int = ITERATIONS
) -> Reader:
    """Trains a reader on prints of one's own, 64 at a time, turned at random.

    Args:
        pictures: of the prints, uint8 `(N, 3 S, 3 S)`.
        symbols: what was printed, bool `(N, S, S)`.
        seed: of the first weights and of the order.
        iterations: updates of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        reader = Reader()
    draws, turns = Draws(derive(seed, "order")), Turns()
    optimizer = torch.optim.Adam(reader.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, iterations)
    # What was printed as a channel beside the picture, so that both are turned alike.
    both = torch.stack([pictures, 255 * enlarged(symbols.to(torch.uint8))], dim=1)
    for _ in range(iterations):
        chosen = (draws.uniform(BATCH) * len(both)).long()
        turned = turns(normalize(both[chosen]), draws, torch.zeros(()))
        seen, known = torch.split(turned, 1, dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            logits = reader(seen)
        loss = binary_cross_entropy_with_logits(
            logits, (avg_pool2d(known[:, 0], PIXELS) > 0).float()
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return reader.eval()


def photocopied(pictures: Tensor, press: Press, scanner: Scanner, seed: int) -> Tensor:
    """Prints pictures again as they are: uint8 `(N, 3 S, 3 S)`, as they came."""
    ink = 1 - pictures[:, None].float() / 255
    finer = interpolate(ink, scale_factor=PLATE / PIXELS, mode="bilinear")[:, 0]
    return printed(finer, press, scanner, seed)


def voted(pictures: Tensor) -> Tensor:
    """Takes a symbol for black if its pixels are darker than the picture on average.

    Args:
        pictures: uint8 `(N, 3 S, 3 S)`.

    Returns:
        The estimate of the template, bool `(N, S, S)`.
    """
    light = avg_pool2d(pictures.float()[:, None], PIXELS)[:, 0]
    return light < light.mean((1, 2), keepdim=True)


def another(press: Press) -> Press:
    """A press of the same kind that is not the same: its ink spreads more, and wavers more."""
    return replace(
        press, spread=1.1 * press.spread, waver=1.2 * press.waver, gain=press.gain + 0.03
    )
