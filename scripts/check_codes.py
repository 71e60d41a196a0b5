"""Detectors of printed codes: the table of experiments/authenticity.md.

    python scripts/check_codes.py train [--levels fine] [--seeds 0 1 2] [--symbols 16] [--images N]
    python scripts/check_codes.py report [--levels fine] [--seeds 0 1 2] [--symbols 16]

`train` trains, at each level and seed, a run whose templates are falsified as the generator
misreads and one whose templates are falsified evenly; those that are there are left. `report`
scores the test codes, of which no run and no detector has seen any.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from touchstone.authenticity.detectors.detector import Detector, scores
from touchstone.authenticity.detectors.discriminator import Discriminator
from touchstone.authenticity.detectors.reconstruction import Reconstruction
from touchstone.authenticity.detectors.supervised import Supervised
from touchstone.authenticity.detectors.symbol_wise import SymbolWise
from touchstone.authenticity.detectors.template_correlation import TemplateCorrelation
from touchstone.authenticity.explanation import explain, mean
from touchstone.authenticity.figures import auroc, bootstrap, difference
from touchstone.authenticity.localization import localization
from touchstone.cli.front import cache_folder
from touchstone.data import printed_codes
from touchstone.data.images import Images, normalize
from touchstone.data.printed_codes import CLASSES, LEVELS, Codes, Workshop
from touchstone.data.subset import subset
from touchstone.draws import Draws
from touchstone.networks.printed_codes import Classifier
from touchstone.sampling import evaluating
from touchstone.symbols import PIXELS, beside
from touchstone.trained import Trained, load

ROOT = Path(__file__).parents[1]
FOLDER = Path(cache_folder()) / "data"
FALSIFIERS = {"misread": "AsMisread", "evenly": "Evenly"}
SHARE = 0.01  # of wrong symbols, where nothing says which are the likely ones
ATTACKED, TRIES = 300, 16  # codes, and estimates of each, by one who knows the detector
EXPLAINED = 100  # counterfeits
MANY = 8_000  # codes of each kind, where small differences are asked for


class Case(NamedTuple):
    """A level, the symbols across a code, and a seed, of the data and of both runs."""

    level: str
    symbols: int
    seed: int

    @property
    def resolution(self) -> int:
        """Pixels across a picture."""
        return PIXELS * self.symbols

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a sample: the picture, and the template beside it."""
        return 2, self.resolution, self.resolution

    def run(self, runs: Path, falsifier: str) -> Path:
        """Where the run of this falsifier lies."""
        return runs / f"{self.level}_{self.symbols}_{falsifier}_s{self.seed}"

    @property
    def workshop(self) -> Workshop:
        """What made the codes."""
        press, scanner = LEVELS[self.level]
        return Workshop(press, scanner, self.symbols, "none", self.seed, printed_codes.ITEMS)

    def codes(self, split: str) -> Codes:
        """The codes of a split."""
        return printed_codes.codes(FOLDER, split, self.level, self.resolution, "none", self.seed)


def main() -> None:
    """Trains, or reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("train", "report"))
    parser.add_argument("--levels", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--symbols", type=int, default=16, help="across a code")
    parser.add_argument("--images", type=int, default=256_000)
    parser.add_argument("--runs", type=Path, default=Path("runs/codes"))
    said = parser.parse_args()
    cases = [Case(level, said.symbols, seed) for level in said.levels for seed in said.seeds]
    for case in cases:
        if said.step == "train":
            train(case, said.runs, said.images)
        else:
            report(case, said.runs)


def train(case: Case, runs: Path, images: int) -> None:
    """Trains both runs of a case, for so many images, unless they are there."""
    for name, falsifier in FALSIFIERS.items():
        if not list(case.run(runs, name).glob("*/summary.json")):
            words = [
                "experiments=authenticity_codes",
                f"data.level={case.level}",
                f"data.resolution={case.resolution}",
                f"seed={case.seed}",
                f"images={images}",
                "loss.penalties.falsification.falsifier._target_="
                f"touchstone.terms.falsification.{falsifier}",
                f"runs_dir={case.run(runs, name)}",
                "metrics=none",
                "logger=none",
            ]
            subprocess.run([sys.executable, ROOT / "train.py", *words], check=True)


def report(case: Case, runs: Path) -> None:
    """Prints a case's figures."""
    trained = {name: load(next(case.run(runs, name).glob("*_s*"))) for name in FALSIFIERS}
    codes, shown = case.codes("test"), subset(case.codes("train").images(), 2_500)
    wrong = codes.misprints[codes.labels == CLASSES.index("estimated")]
    perfect = float((~wrong).all((1, 2)).float().mean())
    print(
        f"## {case.level}, {case.symbols} symbols across, seed {case.seed}: the network misreads "
        f"{float(wrong.float().mean()):.2%}, nothing in {perfect:.1%} of the codes",
        flush=True,
    )
    found = {}
    for name, (detector, networks) in detectors(trained, case).items():
        detector.prepare(networks, case.shape)
        detector.fit(shown)
        found[name] = scores(detector, codes.images(), name)
        genuine = found[name][codes.labels == 0]
        areas = []
        for kind, attack in enumerate(CLASSES[1:], 1):
            forged = found[name][codes.labels == kind]
            low, high = bootstrap(genuine, forged, auroc)
            areas.append(f"{attack} {float(auroc(genuine, forged)):.4f} [{low:.3f}, {high:.3f}]")
        print(f"{name:22}{', '.join(areas)}", flush=True)
    compare(case, trained)

    judge = SymbolWise()
    judge.prepare(trained["misread"], case.shape)
    if case != ("fine", 16, 0):
        return
    with evaluating(judge.trained.generator), torch.inference_mode():
        attack_knowingly(case, judge, found["misread"][codes.labels == 0])
    localize(judge, trained["misread"], codes, shown)


def detectors(trained: dict[str, Trained], case: Case) -> dict[str, tuple[Detector, Trained]]:
    """The detectors, each with the networks that it looks through."""
    misread = trained["misread"]
    counterfeits: Callable[[], Images] = partial(
        printed_codes.forged, FOLDER, case.level, case.resolution, seed=case.seed
    )
    left_out = Supervised(Classifier, counterfeits, "estimated")
    return {
        "misread": (SymbolWise(), misread),
        "evenly": (SymbolWise(SHARE), trained["evenly"]),
        "discriminator": (Discriminator(), misread),
        "template_correlation": (TemplateCorrelation(), misread),
        "reconstruction": (Reconstruction(), misread),
        "supervised": (Supervised(Classifier, counterfeits), misread),
    } | ({"never saw estimated": (left_out, misread)} if case.seed == 0 else {})


def compare(case: Case, trained: dict[str, Trained]) -> None:
    """Prints by how much what the generator misreads beats even falsification, on many codes."""
    workshop = replace(case.workshop, items=printed_codes.ITEMS | {"test": MANY})
    templates = workshop.templates("test")
    seen = workshop.printed(templates, workshop.press, "test", "bought")
    read = printed_codes.reader(FOLDER / "printed_codes", case.workshop).read(seen) > 0
    found: dict[str, list[Tensor]] = {"misread": [], "evenly": []}
    for name, symbols in (("genuine", templates), ("estimated", read)):
        pictures = workshop.printed(symbols, workshop.press, "test", name)
        items = Codes(pictures, templates, symbols, torch.zeros(MANY, dtype=torch.int64)).images()
        for falsifier, judge in (("misread", SymbolWise()), ("evenly", SymbolWise(SHARE))):
            judge.prepare(trained[falsifier], case.shape)
            found[falsifier].append(scores(judge, items))
    ours, theirs = ((each[0], each[1]) for each in found.values())
    low, high = difference(ours, theirs)
    areas = [float(auroc(*each)) for each in (ours, theirs)]
    perfect = float((read == templates).all((1, 2)).float().mean())
    print(
        f"of {MANY:,} codes each: misread {areas[0]:.4f}, evenly {areas[1]:.4f}, "
        f"{areas[0] - areas[1]:+.4f} [{low:+.4f}, {high:+.4f}]; {perfect:.1%} without a misprint",
        flush=True,
    )


def attack_knowingly(case: Case, judge: SymbolWise, genuine: Tensor) -> None:
    """Prints what is left of the detector against a counterfeiter who has it.

    He draws estimates of each code by what his network says of each symbol. `fitting`: he prints
    the one that the detector finds to fit his own print of the code best. `oracle`: he prints them
    all, and is told the detector's score of each beside the true template, which he cannot have.
    """
    workshop = case.workshop
    templates = workshop.templates("test")[:ATTACKED]
    seen = workshop.printed(templates, workshop.press, "test", "bought")
    reader = printed_codes.reader(FOLDER / "printed_codes", workshop)
    black = reader.read(seen).sigmoid()
    draws = Draws(0)

    def estimates() -> Iterator[Tensor]:
        yield black > 0.5
        for _ in range(TRIES - 1):
            yield draws.uniform(*black.shape) < black

    def judged(pictures: Tensor, symbols: Tensor) -> Tensor:
        pixels = normalize(pictures)[:, None]
        return torch.cat(
            [
                judge.score(beside(one, (~of).float() * 2 - 1))
                for one, of in zip(torch.split(pixels, 250), torch.split(symbols, 250), strict=True)
            ]
        )

    tried = list(estimates())
    fits = torch.stack([judged(seen, symbols) for symbols in tried])
    prints = [
        workshop.printed(symbols, workshop.press, "test", "knowing", str(number))
        for number, symbols in enumerate(tried)
    ]
    against = torch.stack([judged(each, templates) for each in prints])
    best = fits.argmin(0, keepdim=True)
    for name, forged in (
        ("one estimate", against[0]),
        ("fitting", against.gather(0, best)[0]),
        ("oracle", against.amin(0)),
    ):
        low, high = bootstrap(genuine, forged, auroc)
        area = float(auroc(genuine, forged))
        print(f"knowing, {name:13}{area:.4f} [{low:.3f}, {high:.3f}]", flush=True)


def localize(judge: SymbolWise, trained: Trained, codes: Codes, shown: Images) -> None:
    """Prints how well each explanation finds the symbols that a counterfeiter misread."""
    wrong = (codes.labels == CLASSES.index("estimated")) & codes.misprints.any(2).any(1)
    numbers = wrong.nonzero()[:EXPLAINED, 0]
    samples, truth = codes.images().batch(numbers)[0], codes.misprints[numbers]
    middle = mean(shown)
    # Of the picture alone is asked where it is wrong: the template stays as it is.
    baseline = torch.stack([middle[:1].expand(len(samples), -1, -1, -1)[:, 0], samples[:, 1]], 1)
    correlation, reconstruction, raw = TemplateCorrelation(), Reconstruction(), Discriminator()
    for one in (correlation, reconstruction, raw):
        one.prepare(trained, tuple(samples.shape[1:]))
    asked: list[tuple[str, Detector, str]] = [
        ("the detector's own", judge, "own"),
        ("integrated gradients", judge, "integrated_gradients"),
        ("occlusion", judge, "occlusion"),
        ("Grad-CAM", judge, "grad_cam"),
        ("residual with the generator's print", reconstruction, "own"),
        ("residual with the template", correlation, "own"),
        ("integrated gradients of the raw logit", raw, "integrated_gradients"),
    ]
    with evaluating(trained.generator):
        for name, detector, explanation in asked:
            maps = explain(detector, samples, baseline, explanation).detach()
            by_symbol = torch.nn.functional.avg_pool2d(maps[:, None], PIXELS)[:, 0]
            figures = localization(by_symbol, truth)
            low, high = figures.interval
            print(f"map, {name:40}{figures.auroc:.4f} [{low:.3f}, {high:.3f}]", flush=True)


if __name__ == "__main__":
    main()
