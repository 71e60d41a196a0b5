"""The counterfeiter and the inspector of printed codes; a sample is `touchstone.symbols`'."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from touchstone.networks.heads import Head, Logit, Verdict
from touchstone.symbols import PIXELS, beside, symbols_of


class Generator(nn.Module):
    """The counterfeiter: misreads a template, and prints what it has read.

    A latent holds a template, by the signs of its first S² numbers, a chance and a speck of ink for
    each symbol, and the item's style. What a network of this kind misreads is known without
    counterfeits: `reader` reads genuine prints, `misreading` learns where it errs.

    Args:
        latent_size: numbers of an item's style.
        resolution: height and width of a sample, three times S.
        width: channels of the hidden layers.

    Attributes:
        latent_size: numbers of a latent, 3 S² more than those of the style.

    Raises:
        ValueError: the resolution is no multiple of three.
    """

    def __init__(self, latent_size: int, resolution: int, width: int = 32) -> None:
        super().__init__()
        self.symbols = _symbols(resolution)
        self.style = latent_size
        self.latent_size = 3 * self.symbols**2 + latent_size
        self.reader = Reader(width)
        self.misreading = Misreading(width)
        self.printer = nn.Sequential(
            *_convolutions([2 + latent_size, width, width, width]),
            nn.Conv2d(width, PIXELS**2, 1),
            nn.PixelShuffle(PIXELS),
            nn.Tanh(),
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` to counterfeits beside the templates they are meant for.

        Labels are ignored.
        """
        side = self.symbols
        grids, style = torch.split(latents, [3 * side**2, self.style], dim=1)
        signs, chances, ink = grids.view(-1, 3, side, side).unbind(1)
        templates = signs.sign()
        errs = self.misreading(templates, templates).sigmoid()
        printed = templates * (1 - 2 * (torch.special.ndtr(chances) < errs).to(templates))
        return beside(self.print(printed, ink, style), templates)

    def print(self, symbols: Tensor, ink: Tensor, style: Tensor) -> Tensor:
        """Prints symbols `(N, S, S)` in {-1, 1}, with such ink and style: `(N, 1, 3 S, 3 S)`."""
        varied = style[:, :, None, None].expand(-1, -1, *symbols.shape[1:])
        pictures: Tensor = self.printer(torch.cat([symbols[:, None], ink[:, None], varied], dim=1))
        return pictures


class Reader(nn.Module):
    """Reads each symbol of a print off its neighbourhood, five symbols by five."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = _by_neighbourhood(PIXELS**2, width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Maps pictures `(N, 1, 3 S, 3 S)` to the logits of white `(N, S, S)`."""
        logits: Tensor = self.layers(pixel_unshuffle(pictures, PIXELS))
        return logits[:, 0]


class Misreading(nn.Module):
    """Says how likely each symbol is to be misread, by the template around it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(1, width, 5, padding=2)
        self.centre = nn.Conv2d(1, width, 1, bias=False)
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, 1, 1)
        )
        # Without the place itself, of which `centre` speaks.
        self._neighbours: Tensor
        self.register_buffer("_neighbours", torch.ones(5, 5), persistent=False)
        self._neighbours[2, 2] = 0

    def forward(self, symbols: Tensor, centres: Tensor) -> Tensor:
        """Gives the logits of misreading `(N, S, S)`.

        Args:
            symbols: around each place, `(N, S, S)` in {-1, 1}.
            centres: at each place, the same or others.
        """
        weight = self.around.weight * self._neighbours
        around = nn.functional.conv2d(symbols[:, None], weight, self.around.bias, padding=2)
        logits: Tensor = self.layers(around + self.centre(centres[:, None]))
        return logits[:, 0]


class Discriminator(nn.Module):
    """The inspector: judges a sample as a whole, and each of its symbols.

    Of a symbol it gives `log r`, r being how many times as likely the picture is if another symbol
    was printed. The two share nothing: what betrays the generator's prints tells no symbols.

    Args:
        resolution: height and width of a sample, three times S.
        width: channels of the hidden layers.
        head: makes the verdict on the whole.

    Raises:
        ValueError: the resolution is no multiple of three.
    """

    def __init__(self, resolution: int, width: int = 64, head: Head = Logit) -> None:
        super().__init__()
        _symbols(resolution)
        seen = PIXELS**2 + 1
        self.whole = nn.Sequential(
            nn.Conv2d(seen, width // 2, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.head = head(width)
        self.places = nn.Sequential(
            *_convolutions([seen, width, width, width, width]), nn.Conv2d(width, 1, 1)
        )

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, 2, 3 S, 3 S)` to logits of being genuine `(N,)`."""
        return self._judge(_by_symbol(samples), labels)["logits"]

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives the head's verdict, its `features`, and the symbols' `log_ratios` `(N, S, S)`."""
        return {"log_ratios": self.inspect(samples), **self._judge(_by_symbol(samples), labels)}

    def inspect(self, samples: Tensor) -> Tensor:
        """Maps samples to each symbol's `log r` alone, `(N, S, S)`."""
        log_ratios: Tensor = self.places(_by_symbol(samples))
        return log_ratios[:, 0]

    def _judge(self, seen: Tensor, labels: Tensor | None) -> Verdict:
        features = self.whole(seen).mean((2, 3))
        verdict: Verdict = self.head(features, labels)
        return {"features": features, **verdict}


class Classifier(nn.Module):
    """Judges a sample by what its symbols show: the inspector, where labels are of wholes.

    Of each feature the mean over the symbols and a soft maximum, `log mean exp`, are read: a few
    wrong symbols hardly move a mean.

    Args:
        width: channels of the hidden layers.
        features: of each symbol.
    """

    def __init__(self, width: int = 64, features: int = 8) -> None:
        super().__init__()
        self.places = nn.Sequential(
            *_convolutions([PIXELS**2 + 1, width, width, width]), nn.Conv2d(width, features, 1)
        )
        self.logit = nn.Linear(2 * features, 1)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, 2, 3 S, 3 S)` to logits of being genuine `(N,)`."""
        shown = self.places(_by_symbol(samples)).float().flatten(2)
        most = shown.logsumexp(2) - math.log(shown.shape[2])
        logits: Tensor = self.logit(torch.cat([shown.mean(2), most], dim=1))
        return logits[:, 0]


def _by_symbol(samples: Tensor) -> Tensor:
    """The pixels of each symbol and its template's colour as channels, `(N, 10, S, S)`."""
    pictures, templates = torch.split(samples, 1, dim=1)
    return torch.cat([pixel_unshuffle(pictures, PIXELS), symbols_of(templates)[:, None]], dim=1)


def _symbols(resolution: int) -> int:
    if resolution % PIXELS:
        raise ValueError(
            f"data.resolution={resolution} does not suit model=printed_codes, which takes "
            f"{PIXELS} pixels a symbol: it has to be a multiple of {PIXELS}."
        )
    return resolution // PIXELS


def _convolutions(widths: Sequence[int]) -> list[nn.Module]:
    return [
        layer
        for inputs, outputs in pairwise(widths)
        for layer in (nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())
    ]


def _by_neighbourhood(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
        nn.Conv2d(width, 1, 1),
    )
