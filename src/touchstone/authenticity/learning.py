"""How detectors that have networks of their own learn from genuine items."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from tqdm import tqdm

from touchstone.data.split import Split
from touchstone.draws import derive, seed_layers


def learn(
    loss: Callable[[Tensor, int], Tensor],
    parameters: Iterable[nn.Parameter],
    items: Split,
    *,
    iterations: int,
    batch_size: int = 64,
    lr: float = 2e-3,
    seed: int = 0,
    name: str = "fitting",
) -> None:
    """Minimises a loss over batches of items by Adam (Kingma & Ba 2015, arXiv 1412.6980).

    The rate rises and falls in one cycle (Smith & Topin 2018, arXiv 1708.07120). The items come in
    one random order after another, the same for the same seed, as do the numbers that layers and
    the loss draw; a caller's random state stays as it was.

    Args:
        loss: of samples `(batch_size, C, H, W)` in [-1, 1] and the iteration's number, from 0, one
            number; in bfloat16 where the device is faster at it.
        parameters: of the networks that learn, on one device.
        items: a batch or fewer are shown several times in one.
        iterations: updates of the parameters.
        batch_size: items an update.
        lr: the largest rate, at three tenths of the iterations.
        seed: of the order and of all else that is drawn.
        name: of the progress, shown after 2 s.
    """
    parameters = list(parameters)
    device = parameters[0].device
    optimizer = torch.optim.Adam(parameters, lr)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=iterations)
    order = torch.Generator().manual_seed(derive(seed, "order"))
    passes = -(-iterations * batch_size // len(items))
    batches = torch.cat([torch.randperm(len(items), generator=order) for _ in range(passes)])
    numbers = tqdm(range(iterations), desc=name, delay=2, leave=False)
    # A caller that only evaluates may have turned gradients off.
    with seeded(seed, device), torch.inference_mode(False), torch.enable_grad():
        for iteration, batch in zip(numbers, torch.split(batches, batch_size), strict=False):
            samples = items.batch(batch.to(items.device))[0].to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_is_fast(device)):
                value = loss(samples.to(memory_format=torch.channels_last), iteration)
            optimizer.zero_grad()
            torch.autograd.backward(value)
            optimizer.step()
            rate.step()


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether a device has units for bfloat16; of CPUs, those with AMX."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Has layers draw, their first weights too, as the seed says; the caller's state is kept."""
    device = torch.device(device)
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        seed_layers(derive(seed, "layers"), device)
        yield


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Has networks hand gradients through, and take none for parameters of their own."""
    learning = [each for network in networks for each in network.parameters() if each.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
