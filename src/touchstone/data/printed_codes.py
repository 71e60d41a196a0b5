"""Copy-detection patterns, printed and counterfeited here: a benchmark that needs no download.

A code is a template of symbols, black or white by the toss of a coin, that its maker keeps. Whoever
prints a copy has to guess it from a print (Picard 2004; Taran et al. 2022 with network estimates).
A sample is the picture of a print and beside it the template, so a detector can compare them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from touchstone.data import counterfeiting
from touchstone.data.files import alone, say, scratch
from touchstone.data.images import Images, check_split
from touchstone.data.printing import PLATE, Press, Scanner, plate, printed
from touchstone.draws import Draws, derive
from touchstone.errors import UsageError
from touchstone.symbols import PIXELS, enlarged

CLASSES = ("genuine", "photocopy", "voted", "estimated", "other_press")
LEVELS = {
    # The finer the press and the scanner, the fewer symbols does a counterfeiter misread.
    "coarse": (Press(spread=0.40, waver=0.12), Scanner(spread=0.50)),
    "medium": (Press(spread=0.35, waver=0.11), Scanner(spread=0.42)),
    "fine": (Press(spread=0.33, waver=0.10), Scanner(spread=0.40)),
}
LAYERS = ("none", "guilloche", "qr")
ITEMS = {"train": 3_500, "test": 1_000, "forged": 2_500}  # of the last two, of each kind
FINDERS = 21  # symbols across the smallest QR code
_VERSION = 3  # of what is made


@dataclass(frozen=True)
class Codes:
    """Prints and what is known of them.

    Attributes:
        pictures: uint8 `(N, 3 S, 3 S)`.
        templates: of the genuine code that each is shown as, bool `(N, S, S)`.
        printed: what was printed, bool `(N, S, S)`; a photocopy's is its template.
        labels: int64 `(N,)`, indices of `CLASSES`.
    """

    pictures: Tensor
    templates: Tensor
    printed: Tensor
    labels: Tensor

    @property
    def misprints(self) -> Tensor:
        """Where another symbol was printed than the template has, bool `(N, S, S)`."""
        return self.templates != self.printed

    def images(self) -> Images:
        """The pictures, each with its template at its size as the second channel, black as 0."""
        templates = 255 - 255 * enlarged(self.templates.to(torch.uint8))
        return Images(torch.stack([self.pictures, templates], dim=1), self.labels, CLASSES)


def load(
    folder: str | Path,
    split: str = "train",
    level: str = "fine",
    resolution: int = 48,
    layer: str = "none",
    seed: int = 0,
    items: Mapping[str, int] = ITEMS,
) -> Images:
    """Loads 3,500 genuine prints (`train`), or 1,000 and as many of each counterfeit (`test`).

    No template occurs twice but in the test split, where each counterfeit is one of the 1,000
    genuine codes, copied from another print of it. They are `photocopy`, printed again as it was
    seen; `voted`, each symbol by the mean of its pixels; `estimated`, by a network that was trained
    on 2,500 prints of the counterfeiter's own, on the same press; and `other_press`, the same
    estimates on another one.

    Args:
        folder: where what was made is kept.
        split: `train` or `test`.
        level: of the press and the scanner: `coarse`, `medium` or `fine`.
        resolution: pixels across a picture, three for each of the S symbols.
        layer: what is printed over all: `none`, fine curves (`guilloche`), or the three finder
            patterns of a QR code (`qr`).
        seed: of everything.
        items: how many of each split other than these, and `forged`, the counterfeiter's own.

    Raises:
        UsageError: a setting that there is not, or a folder that cannot be written.
    """
    check_split(split)
    return codes(folder, split, level, resolution, layer, seed, items).images()


def forged(
    folder: str | Path,
    level: str = "fine",
    resolution: int = 48,
    layer: str = "none",
    seed: int = 0,
    items: Mapping[str, int] = ITEMS,
) -> Images:
    """Loads 2,500 counterfeits of each kind by the same counterfeiter, of templates of their own.

    No detector that is trained on genuine items alone sees them: they are for the supervised one.
    """
    return codes(folder, "forged", level, resolution, layer, seed, items).images()


def codes(
    folder: str | Path,
    split: str,
    level: str,
    resolution: int,
    layer: str,
    seed: int,
    items: Mapping[str, int] = ITEMS,
) -> Codes:
    """Makes the codes of a split, or reads them where they were made before.

    Raises:
        UsageError: a setting that there is not, or a folder that cannot be written.
    """
    for setting, value, right in (("level", level, tuple(LEVELS)), ("layer", layer, LAYERS)):
        if value not in right:
            raise UsageError(f"data.{setting}={value}: it has to be {' or '.join(right)}")
    symbols, rest = divmod(resolution, PIXELS)
    least = FINDERS if layer == "qr" else 8
    if rest or symbols < least:
        raise UsageError(
            f"data.resolution={resolution}: with data.layer={layer} it has to be {PIXELS} pixels "
            f"for each of {least} symbols or more: {PIXELS * least}, {PIXELS * (least + 1)}, ..."
        )
    press, scanner = LEVELS[level]
    workshop = Workshop(press, scanner, symbols, layer, seed, dict(items))
    place = Path(folder) / "printed_codes"
    if split == "train":
        return Codes(**_kept(place, split, workshop, lambda: vars(workshop.genuine(split))))
    return Codes(
        **_kept(
            place, split, workshop, lambda: vars(workshop.forged(split, reader(place, workshop)))
        )
    )


def reader(place: Path, workshop: "Workshop") -> counterfeiting.Reader:
    """The counterfeiter's network, trained on prints of its own, or read where it was before."""
    weights = _kept(place, "reader", workshop, lambda: workshop.reader().state_dict())
    made = counterfeiting.Reader()
    made.load_state_dict(weights)
    return made.eval()


def _kept(
    place: Path, name: str, workshop: "Workshop", make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Tensors that a workshop makes, from the file where they were kept, or made and kept.

    Raises:
        UsageError: a folder that cannot be written.
    """
    made_of = json.dumps([_VERSION, name, asdict(workshop)])
    key = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    entry = place / f"{name}_{workshop.symbols}_{key}.safetensors"
    try:
        with alone(entry):
            if not entry.exists():
                say(f"data=printed_codes: making {name}, in {place}")
                tensors = {key: value.contiguous().clone() for key, value in make().items()}
                with scratch(place) as unfinished:
                    save_file(tensors, unfinished / entry.name)
                    (unfinished / entry.name).rename(entry)
    except OSError as error:
        raise UsageError(f"data_dir={place.parent}: cannot be written ({error})") from error
    found: dict[str, Tensor] = load_file(entry)
    return found


@dataclass(frozen=True)
class Workshop:
    """Where genuine codes and counterfeits are made; settings as in `load`."""

    press: Press
    scanner: Scanner
    symbols: int
    layer: str
    seed: int
    items: dict[str, int]

    def genuine(self, split: str) -> Codes:
        """Genuine prints of templates of their own."""
        templates = self.templates(split)
        pictures = self.printed(templates, self.press, split, "genuine")
        labels = torch.zeros(len(templates), dtype=torch.int64)
        return Codes(pictures, templates, templates, labels)

    def forged(self, split: str, reader: counterfeiting.Reader) -> Codes:
        """What counterfeiters make of other prints of the genuine codes; with these, in `test`."""
        templates = self.templates(split)
        seen = self.printed(templates, self.press, split, "bought")
        estimated = reader.read(seen) > 0
        printed = {
            "genuine": templates,
            "photocopy": templates,
            "voted": counterfeiting.voted(seen),
            "estimated": estimated,
            "other_press": estimated,
        }
        pictures = {
            name: self.printed(symbols, self.press, split, name)
            for name, symbols in printed.items()
            if name not in ("photocopy", "other_press")
        }
        pictures["photocopy"] = counterfeiting.photocopied(
            seen, self.press, self.scanner, self._seed(split, "photocopy")
        )
        other = counterfeiting.another(self.press)
        pictures["other_press"] = self.printed(estimated, other, split, "other_press")
        kinds = CLASSES if split == "test" else CLASSES[1:]
        return Codes(
            torch.cat([pictures[kind] for kind in kinds]),
            templates.repeat(len(kinds), 1, 1),
            torch.cat([printed[kind] for kind in kinds]),
            torch.tensor([CLASSES.index(kind) for kind in kinds]).repeat_interleave(len(templates)),
        )

    def reader(self) -> counterfeiting.Reader:
        """Trains the counterfeiter's network on prints of its own."""
        templates = self.templates("counterfeiter", self.items["forged"])
        pictures = self.printed(templates, self.press, "counterfeiter", "genuine")
        return counterfeiting.trained_reader(pictures, templates, self._seed("reader"))

    def templates(self, split: str, number: int | None = None) -> Tensor:
        """Templates of this split's own, bool `(N, S, S)`."""
        draws = Draws(self._seed(split, "templates"))
        number = self.items[split] if number is None else number
        tossed = draws.uniform(number, self.symbols, self.symbols) < 0.5
        return _with_finders(tossed) if self.layer == "qr" else tossed

    def printed(self, symbols: Tensor, press: Press, *place: str) -> Tensor:
        """Pictures of prints of symbols `(N, S, S)`, uint8 `(N, 3 S, 3 S)`."""
        ink = plate(symbols)
        if self.layer == "guilloche":
            ink = torch.maximum(ink, _guilloche(ink.shape[-1]))
        return printed(ink, press, self.scanner, self._seed(*place))

    def _seed(self, *place: str) -> int:
        return derive(self.seed, "printed_codes", *place)


def _guilloche(points: int) -> Tensor:
    """Three bundles of fine waves across a plate, `(points, points)`, ink at four fifths."""
    down, across = torch.meshgrid(*[torch.arange(points) / PLATE] * 2, indexing="ij")
    ink = torch.zeros(points, points)
    for bundle, period in enumerate((5.0, 7.0, 11.0)):
        wave = 2.5 * torch.sin(2 * torch.pi * (across / period + bundle / 3))
        ink = ink.maximum((((down + wave) % period) < 1 / 3).float())
    return 0.8 * ink


def _with_finders(templates: Tensor) -> Tensor:
    """Templates with the finder patterns of a QR code and their white rims in three corners."""
    ring = (torch.arange(7)[:, None] - 3).abs().maximum((torch.arange(7) - 3).abs())
    corner = torch.zeros(8, 8, dtype=torch.bool)
    corner[:7, :7] = ring != 2
    templates = templates.clone()
    templates[:, :8, :8] = corner
    templates[:, :8, -8:] = corner.flip(1)
    templates[:, -8:, :8] = corner.flip(0)
    return templates
