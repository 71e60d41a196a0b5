"""What a detector is."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from tqdm import tqdm

from touchstone.data.split import Split
from touchstone.sampling import CHUNK, evaluating
from touchstone.trained import Trained


class Detector(nn.Module):
    """Gives samples scores: the higher, the less a sample looks like a genuine one.

    It is made of its settings alone, sees a run's networks by `prepare`, and learns from genuine
    items by `fit`. What it has learned is in its parameters and buffers, and in nothing else.

    Attributes:
        trained: the networks of the run that it looks through, no part of its own state.
        shape: of a sample, `(C, H, W)`.
    """

    trained: Trained
    shape: tuple[int, ...]

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Sees the networks and makes what can be made without data.

        Raises:
            UsageError: a run or a shape that it is not for.
        """
        self.trained, self.shape = trained, shape

    def fit(self, genuine: Split) -> None:
        """Learns from genuine items, of which all that it knows of counterfeits has to follow."""
        return None

    def score(self, samples: Tensor) -> Tensor:
        """Scores samples `(N, C, H, W)` in [-1, 1]: `(N,)`, each by itself, whatever the others."""
        raise NotImplementedError

    def map(self, samples: Tensor) -> Tensor | None:
        """Says where samples look wrong, `(N, H, W)`, more where it is higher; None: it cannot."""
        return None

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes up what `state_dict` gave of a detector of the same settings, once prepared.

        Raises:
            RuntimeError: tensors of another detector.
        """
        for name, _ in list(self.named_buffers(recurse=False)):
            if name in tensors:  # what it holds of the data is as large as the data
                setattr(self, name, torch.empty_like(tensors[name]))
        self.load_state_dict(tensors)


@torch.inference_mode()
def scores(detector: Detector, items: Split, name: str = "scoring") -> Tensor:
    """Scores all items of a split, in eval mode, float32 `(N,)` on the CPU; progress after 2 s."""
    numbers = torch.arange(len(items), device=items.device)
    found = []
    with evaluating(detector), tqdm(total=len(items), desc=name, delay=2, leave=False) as progress:
        for part in torch.split(numbers, CHUNK):
            found.append(detector.score(items.batch(part)[0]).float().cpu())
            progress.update(len(part))
    return torch.cat(found) if found else torch.empty(0)
