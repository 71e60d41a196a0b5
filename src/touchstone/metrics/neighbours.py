"""Nearest neighbours among features, exact, in blocks: never all distances at once."""

from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

ROWS, COLUMNS = 2048, 8192  # of a block of distances: 128 MiB in float64
BAR: dict[str, Any] = {"unit": "block", "delay": 2, "leave": False, "disable": None}


def nearest(
    queries: Tensor, points: Tensor, neighbours: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Finds each query's nearest points, the nearest first.

    They are found by |p|^2 - 2 q . p in float64, and their distances computed from differences: a
    copy's is 0, and not what rounding has left of |p|^2.

    Args:
        queries: `(n, F)`.
        points: `(m, F)`, m being `neighbours` or more.
        neighbours: how many.
        device: where they are compared.

    Returns:
        Euclidean distances, float64 `(n, neighbours)`, and indices of points, int64, on the CPU.
    """
    distances, indices = [], []
    for rows in tqdm(torch.split(queries, ROWS), desc="neighbours", **BAR):
        block = rows.to(device).double()
        found = torch.empty(len(rows), 0, dtype=torch.float64, device=device)
        where = torch.empty(len(rows), 0, dtype=torch.int64, device=device)
        for start in range(0, len(points), COLUMNS):
            columns = points[start : start + COLUMNS].to(device).double()
            partial = torch.addmm(columns.square().sum(1), block, columns.T, alpha=-2)
            least, column = partial.topk(min(neighbours, len(columns)), largest=False)
            found, where = torch.cat([found, least], 1), torch.cat([where, column + start], 1)
            found, order = found.topk(min(neighbours, found.shape[1]), largest=False)
            where = where.gather(1, order)
        exact = [
            (block - points[column.to(points.device)].to(device).double()).square().sum(1).sqrt()
            for column in where.unbind(1)
        ]
        ordered, order = torch.stack(exact, 1).sort(dim=1, stable=True)
        distances.append(ordered.cpu())
        indices.append(where.gather(1, order).cpu())
    return torch.cat(distances), torch.cat(indices)


def radii(points: Tensor, neighbours: int, device: torch.device | str = "cpu") -> Tensor:
    """Each point's distances to its nearest others, float64 `(n, neighbours)`, on the CPU.

    Args:
        points: `(n, F)`, n being more than `neighbours`.
        neighbours: how many.
        device: where they are compared.
    """
    # Itself is among them, at the distance 0; so may its copies be, which are others.
    return nearest(points, points, neighbours + 1, device)[0][:, 1:]


def contained(
    queries: Tensor, centres: Tensor, radius: Tensor, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Counts the balls that hold each query, and the queries that each ball holds.

    A ball holds its surface. For rounding not to lose a point on it, the squared norms are made
    smaller by as much as |q|^2 + |p|^2 - 2 q . p may be wrong by, F times float64's epsilon.

    Args:
        queries: `(n, F)`.
        centres: of the balls, `(m, F)`.
        radius: of each ball, `(m,)`.
        device: where they are compared.

    Returns:
        Both counts, int64 `(n,)` and `(m,)`, on the CPU.
    """
    shrunk = 1 - queries.shape[1] * torch.finfo(torch.float64).eps
    held = torch.zeros(len(queries), dtype=torch.int64, device=device)
    holds = torch.zeros(len(centres), dtype=torch.int64, device=device)
    for top in tqdm(range(0, len(queries), ROWS), desc="neighbours", **BAR):
        block = queries[top : top + ROWS].to(device).double()
        norms = shrunk * block.square().sum(1, keepdim=True)
        for left in range(0, len(centres), COLUMNS):
            columns = centres[left : left + COLUMNS].to(device).double()
            reach = radius[left : left + COLUMNS].to(device).double().square()
            reach -= shrunk * columns.square().sum(1)
            inside = torch.addmm(norms, block, columns.T, alpha=-2) <= reach
            held[top : top + ROWS] += inside.sum(1)
            holds[left : left + COLUMNS] += inside.sum(0)
    return held.cpu(), holds.cpu()
