"""Checks the audit's attacks: who copies is caught, and who never saw the people is not accused.

    python scripts/check_audit.py [--repetitions 20] [--steps 3000]

The population is made: a table of mixed columns whose people have groups. 500 of them are members.
The generators are a copy of the members; the members blurred; the members with columns of others;
and a small GAN, trained until it knows them by heart. Of the attacks the discriminator's is on the
GAN alone, and the shadow models are of the blurred generator and ask about the most exposed. Then
come repetitions in which the members are none: the generators were made of other people (the GAN in
a quarter of the steps).
"""

import argparse
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from touchstone.draws import derive
from touchstone.losses import Vanilla
from touchstone.privacy.attacks.attack import Attack, Evidence
from touchstone.privacy.attacks.density_ratio import DensityRatio
from touchstone.privacy.attacks.discriminator import Discriminator
from touchstone.privacy.attacks.kernel_density import KernelDensity
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.attacks.shadow import Shadow
from touchstone.privacy.bound import epsilon_bound, one_run_bound
from touchstone.privacy.canaries import canaries
from touchstone.privacy.exposure import exposure
from touchstone.privacy.intervals import Estimate, auroc
from touchstone.privacy.membership import Membership, membership

MEMBERS, HOLDOUT, SYNTHETIC = 500, 4000, 2000
NUMBERS, CATEGORIES, GROUPS = 6, [2, 5, 9, 15], 4
COLUMNS = [1] * NUMBERS + CATEGORIES
TARGETS, MODELS = 100, 32
ATTACKS: dict[str, Attack] = {
    "nearest": Nearest(),
    "density_ratio": DensityRatio(),
    "kernel_density": KernelDensity(),
}
Generator = Callable[[Tensor, int], Tensor]


def people(number: int, seed: int) -> Tensor:
    """Draws people: numbers by their group, categories by their group's frequencies."""
    world = torch.Generator().manual_seed(0)
    draws = torch.Generator().manual_seed(seed)
    group = torch.randint(GROUPS, (number,), generator=draws)
    centres = torch.randn(GROUPS, NUMBERS, generator=world)
    mixing = torch.randn(GROUPS, NUMBERS, NUMBERS, generator=world) / NUMBERS**0.5
    noise = torch.randn(number, NUMBERS, generator=draws)
    numbers = centres[group] + torch.einsum("nij,nj->ni", mixing[group], noise)
    parts = [numbers / 2]
    for size in CATEGORIES:
        chances = (2 * torch.randn(GROUPS, size, generator=world)).softmax(1)[group]
        value = torch.multinomial(chances, 1, generator=draws)[:, 0]
        parts.append(functional.one_hot(value, size).float())
    return torch.cat(parts, 1)


def copied(rows: Tensor, seed: int) -> Tensor:
    """The rows themselves, drawn with replacement."""
    draws = torch.Generator().manual_seed(seed)
    return rows[torch.randint(len(rows), (SYNTHETIC,), generator=draws)]


def blurred(rows: Tensor, seed: int) -> Tensor:
    """Gaussian kernels of a small width on the rows."""
    draws = torch.Generator().manual_seed(derive(seed, "blur"))
    copies = copied(rows, seed)
    return copies + 0.3 * torch.randn(copies.shape, generator=draws)


def crossed(rows: Tensor, seed: int) -> Tensor:
    """The rows, of whose columns three in ten are of another row each."""
    draws = torch.Generator().manual_seed(derive(seed, "cross"))
    parts = []
    for own, all_of_it in zip(
        torch.split(copied(rows, seed), COLUMNS, 1), torch.split(rows, COLUMNS, 1), strict=True
    ):
        others = all_of_it[torch.randint(len(rows), (SYNTHETIC,), generator=draws)]
        parts.append(others.where(torch.rand(SYNTHETIC, 1, generator=draws) < 0.3, own))
    return torch.cat(parts, 1)


class Gan:
    """A small GAN without anything that keeps it from learning its rows by heart."""

    def __init__(self, rows: Tensor, steps: int, seed: int) -> None:
        torch.manual_seed(seed)
        size, loss = rows.shape[1], Vanilla()
        self.generator = nn.Sequential(
            nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, size)
        )
        self.discriminator = nn.Sequential(
            nn.Linear(size, 256), nn.LeakyReLU(0.2), nn.Linear(256, 256), nn.LeakyReLU(0.2),
            nn.Linear(256, 1), nn.Flatten(0),
        )  # fmt: skip
        optimizers = [
            torch.optim.Adam(network.parameters(), rate, (0.5, 0.9))
            for network, rate in ((self.discriminator, 5e-4), (self.generator, 2e-4))
        ]
        for _ in range(steps):
            real = rows[torch.randint(len(rows), (128,))]
            logits = self.discriminator(real), self.discriminator(self.sample(128).detach())
            update(optimizers[0], loss.discriminator(*logits))
            update(optimizers[1], loss.generator(self.discriminator(self.sample(128))))

    def sample(self, number: int) -> Tensor:
        """Draws rows."""
        parts = torch.split(self.generator(torch.randn(number, 32)), COLUMNS, 1)
        return torch.cat(
            [part if part.shape[1] == 1 else (part / 0.3).softmax(1) for part in parts], 1
        )


def update(optimizer: torch.optim.Optimizer, term: Tensor) -> None:
    """Takes a step down a term."""
    optimizer.zero_grad()
    torch.autograd.backward(term)
    optimizer.step()


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--steps", type=int, default=4000, help="of the GAN")
    said = parser.parse_args()
    members, holdout = people(MEMBERS, 1), people(HOLDOUT, 2)
    generators: dict[str, Generator] = {"copied": copied, "blurred": blurred, "crossed": crossed}

    print("## Members: AUROC of everyone, of the outliers, and of the control")
    for name, make in generators.items():
        report(name, membership(members, holdout, make(members, 3), ATTACKS))
    report("gan", attacked_gan(members, members, holdout, said.steps, 3))
    shadowed(members, holdout)
    planted(members)

    print("\n## Other people's: how often the interval covers 0.5")
    covered: Counter[str] = Counter()
    for repetition in range(said.repetitions):
        covered.update(others(generators, said.steps // 4, 100 + 10 * repetition))
    for key, times in sorted(covered.items()):
        print(f"{key:45} {times} of {said.repetitions}")


def others(generators: dict[str, Generator], steps: int, seed: int) -> Counter[str]:
    """Attacks generators that were made of other people; 1 where an interval covers 0.5."""
    members, holdout, trained = (
        people(number, seed + place) for place, number in enumerate((MEMBERS, HOLDOUT, MEMBERS))
    )
    results = {
        name: membership(members, holdout, make(trained, seed + 3), ATTACKS)
        for name, make in generators.items()
    } | {"gan": attacked_gan(trained, members, holdout, steps, seed + 3)}
    covered: Counter[str] = Counter()
    for generator, found in results.items():
        for name, attack in found.items():
            assert attack.outliers is not None
            for whom, finding in (("everyone", attack.everyone), ("outliers", attack.outliers)):
                for what, figures in (("", finding.figures), (" control", finding.control)):
                    key = f"{generator:8} {name:15} {whom}{what}"
                    covered[key] += figures.auroc.covers(0.5)
    return covered


def attacked_gan(
    trained: Tensor, members: Tensor, holdout: Tensor, steps: int, seed: int
) -> dict[str, Membership]:
    """Attacks a GAN, by its discriminator too."""
    gan = Gan(trained, steps, seed)
    with torch.no_grad():
        synthetic = gan.sample(SYNTHETIC)
    attacks = ATTACKS | {"discriminator": Discriminator(gan.discriminator)}
    return membership(members, holdout, synthetic, attacks)


def shadowed(members: Tensor, holdout: Tensor) -> None:
    """Attacks the most exposed by shadow models, and by the bare score that these compare."""
    reference, free = holdout.chunk(2)
    order = exposure(members, reference).argsort(descending=True)
    targets, rest = members[order[:TARGETS]], members[order[TARGETS:]]
    far = exposure(free, reference).argsort(descending=True)[:TARGETS]
    asked = torch.cat([targets, free[far]])

    def train(inside: Tensor, seed: int) -> Tensor:
        return blurred(torch.cat([rest, asked[inside]]), seed)

    for name, attack in (
        ("nearest", Nearest()),
        ("shadow", Shadow(train, Nearest(), MODELS)),
    ):
        evidence = Evidence(blurred(members, 3), reference)
        scores = attack(asked, evidence)
        area = auroc(scores[:TARGETS], scores[TARGETS:])
        print(f"{'blurred':8} {name:15} the {TARGETS} most exposed {text(area)}")


def planted(members: Tensor) -> None:
    """Plants canaries and bounds epsilon by them."""
    made = canaries(members, 400, COLUMNS, 4)
    for name, make in (("copied", copied), ("blurred", blurred), ("crossed", crossed)):
        synthetic = make(torch.cat([members, made.planted]), 5)
        scores = Nearest()(made.records, Evidence(synthetic, people(2000, 6)))
        bound = one_run_bound(scores, made.included, 1e-5)
        print(f"{name:8} 400 canaries: epsilon is at least {bound:.2f}")


def report(generator: str, found: dict[str, Membership]) -> None:
    """Prints what attacks found of a generator."""
    for name, attack in found.items():
        assert attack.outliers is not None
        areas = (
            attack.everyone.figures.auroc,
            attack.outliers.figures.auroc,
            attack.everyone.control.auroc,
        )
        tpr = ", ".join(f"{key:.1%}: {text(v)}" for key, v in attack.everyone.figures.tpr.items())
        bound = epsilon_bound(attack.members, attack.non_members, 1e-5)
        print(
            f"{generator:8} {name:15} {'  '.join(map(text, areas))}  TPR at {tpr}  "
            f"epsilon >= {bound:.2f}",
            flush=True,
        )


def text(estimate: Estimate) -> str:
    """A figure with its interval."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


if __name__ == "__main__":
    main()
