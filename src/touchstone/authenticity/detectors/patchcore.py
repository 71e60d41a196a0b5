"""PatchCore: each place of a sample against a memory of genuine ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate
from tqdm import tqdm

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.examination import check, device_of, examined
from touchstone.data.split import Split
from touchstone.draws import Draws, derive
from touchstone.errors import UsageError
from touchstone.sampling import CHUNK
from touchstone.trained import Trained

LEVELS = 2
FINEST, COARSEST = 16, 4  # places a side
POOL = 100_000  # patches that the memory is chosen from
PROJECTED = 128  # numbers of a patch while it is chosen
ROWS = 8192  # patches whose distances are in memory at once


class PatchCore(Detector):
    """The distance of a sample's patches to genuine ones (Roth et al. 2022, arXiv 2106.08265).

    The paper's features are of a network trained on ImageNet's classes; here they are of the run's
    own discriminator, trained on the genuine items alone: a rival of the detectors that look at
    the last features, by the same network. Of its maps of features, two are taken, as in section
    3.1, where there are so many: the finest that have at most 16 places a side, fewer than the
    sample, and at least 4, and of each size the last. If all are finer, it is the coarsest. Each is
    averaged over 3x3 places, the coarser enlarged to the finer.

    Args:
        patches: in the memory; fewer where the genuine items have fewer.
        neighbours: b of equation 7, the patch itself among them.

    Raises:
        UsageError: fewer than 2 neighbours, or as many as patches.
    """

    bank: Tensor

    def __init__(self, patches: int = 2_000, neighbours: int = 9) -> None:
        super().__init__()
        if not 2 <= neighbours < patches:
            raise UsageError(
                f"detectors.patchcore.neighbours={neighbours}: it has to be 2 or more, and less "
                f"than detectors.patchcore.patches={patches}"
            )
        self.patches, self.neighbours = patches, neighbours
        self.register_buffer("bank", torch.empty(0, 0))

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Chooses the maps.

        Raises:
            UsageError: a discriminator without maps of features.
        """
        check(trained, shape, "patchcore")
        super().prepare(trained, shape)
        self.layers = layers_of(trained, shape)
        if not self.layers:
            raise UsageError(
                "detector=patchcore: the discriminator has no convolutions with at least 4 places "
                "a side: choose model=dcgan or another of convolutions"
            )

    @torch.no_grad()
    def fit(self, genuine: Split) -> None:
        """Makes the memory: a coreset of the items' patches (section 3.2, algorithm 1).

        It is chosen from 100,000 patches at random where there are more.
        """
        draws = Draws(derive(0, "patchcore"))
        numbers = torch.arange(len(genuine))
        pool: list[Tensor] = []
        for part in tqdm(torch.split(numbers, CHUNK), desc="patches", delay=2, leave=False):
            samples = genuine.batch(part.to(genuine.device))[0]
            patches = self.embed(samples.to(self._device)).flatten(0, 2)
            kept = -(-POOL * len(part) // len(genuine))
            chosen = torch.randperm(len(patches), generator=draws.generator)[:kept]
            pool.append(patches[chosen.to(patches.device)])
        points = torch.cat(pool)
        self.bank = points[coreset(points, min(self.patches, len(points)), draws)]

    def score(self, samples: Tensor) -> Tensor:
        """The largest distance of a patch, weighted (equations 6 and 7): `(N,)`."""
        patches = self.embed(samples).flatten(1, 2)
        distances, nearest = self.nearest(patches)
        worst = distances.argmax(dim=1)
        items = torch.arange(len(samples), device=samples.device)
        # m_test,* and its nearest in the memory, m*, the first of its own b nearest there.
        patch, twin = patches[items, worst], nearest[items, worst]
        around = torch.cdist(self.bank[twin], self.bank)
        around = around.topk(min(self.neighbours, len(self.bank)), largest=False).indices
        away = torch.linalg.vector_norm(patch[:, None] - self.bank[around], dim=2)
        own = distances[items, worst]
        weight = 1 - torch.exp(own - away.logsumexp(dim=1))
        return weight * own

    def map(self, samples: Tensor) -> Tensor:
        """The distances of all patches, enlarged to the sample: `(N, H, W)`."""
        patches = self.embed(samples)
        distances, _ = self.nearest(patches.flatten(1, 2))
        places = distances.reshape(patches.shape[:3])[:, None]
        return interpolate(places, self.shape[1:], mode="bilinear")[:, 0]

    def embed(self, samples: Tensor) -> Tensor:
        """The patches' features, `(N, h, w, F)` (section 3.1, equations 1 to 3)."""
        with watched(self.trained.discriminator, self.layers) as maps:
            examined(self.trained, samples)
        size = maps[self.layers[0]][0].shape[2:]
        levels = []
        for layer in self.layers:
            level = torch.cat(maps[layer]).float()
            level = avg_pool2d(level, 3, stride=1, padding=1, count_include_pad=False)
            levels.append(interpolate(level, size, mode="bilinear"))
        return torch.cat(levels, dim=1).movedim(1, -1)

    def nearest(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """The distances `(N, P)` of patches `(N, P, F)` to the nearest in memory, and which."""
        norms = (self.bank**2).sum(dim=1)
        rows = patches.flatten(0, 1)
        nearest = torch.cat(
            [
                torch.addmm(norms, part, self.bank.T, alpha=-2).argmin(1)
                for part in torch.split(rows, ROWS)
            ]
        )
        # From differences: exact, and 0 for one that is in memory.
        distances = torch.linalg.vector_norm(rows - self.bank[nearest], dim=1)
        return distances.reshape(patches.shape[:2]), nearest.reshape(patches.shape[:2])

    @property
    def _device(self) -> torch.device:
        assert self.trained.discriminator is not None
        return device_of(self.trained.discriminator)


def coreset(points: Tensor, number: int, draws: Draws) -> Tensor:
    """Chooses points so that each of all is near one: the indices, int64 `(number,)`.

    Greedily, as in algorithm 1: the next is the one that is farthest from those chosen so far, by
    distances in a random projection (Johnson, Lindenstrauss 1984). The first is one at random.
    """
    projection = draws.normal(points.shape[1], PROJECTED) / PROJECTED**0.5
    points = points @ projection.to(points) if points.shape[1] > PROJECTED else points
    norms = (points**2).sum(dim=1)
    distances = torch.full_like(norms, torch.inf)
    chosen = [int(torch.randint(len(points), (), generator=draws.generator))]
    for _ in tqdm(range(number - 1), desc="coreset", delay=2, leave=False):
        last = points[chosen[-1]]
        distances = torch.minimum(distances, norms - 2 * (points @ last) + last @ last)
        distances[chosen[-1]] = -torch.inf
        chosen.append(int(distances.argmax()))
    return torch.tensor(chosen, device=points.device)


@torch.no_grad()
def layers_of(trained: Trained, shape: tuple[int, ...]) -> list[str]:
    """The names of the discriminator's modules whose maps are taken, the finest first."""
    discriminator = trained.discriminator
    assert discriminator is not None
    # A parametrization makes a weight, of a convolution in 4 dimensions, too.
    names = [name for name, _ in discriminator.named_modules() if "parametrizations" not in name]
    with watched(discriminator, names) as maps:
        examined(trained, torch.zeros(1, *shape, device=device_of(discriminator)))
    last = {}
    for name, outputs in maps.items():
        side = tuple(outputs[0].shape[2:])
        once = len(outputs) == 1 and len(side) == 2
        if once and min(side) >= COARSEST and max(side) < max(shape[1:]):
            last[side] = name
    sides = sorted(last, reverse=True)
    few = [side for side in sides if max(side) <= FINEST] or sides[-1:]
    return [last[side] for side in few[:LEVELS]]


@contextmanager
def watched(network: nn.Module | None, names: Sequence[str]) -> Iterator[dict[str, list[Tensor]]]:
    """Keeps what the modules of these names give, call after call, the first to end first."""
    assert network is not None
    outputs: dict[str, list[Tensor]] = {}

    def keep(name: str, module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            outputs.setdefault(name, []).append(output)

    handles = [
        network.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
