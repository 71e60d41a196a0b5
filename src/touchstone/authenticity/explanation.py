"""Where a sample looks wrong: maps for any score of samples, by Captum.

A score is a function of samples `(N, C, H, W)` in [-1, 1] that gives each a number by itself,
`(N,)`, such as a detector's `score`; the networks in it are in eval mode. A map `(N, H, W)` is
higher where a sample looks more as it should not, in the unit of the score.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from touchstone.authenticity.detectors.detector import Detector
from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.sampling import CHUNK, evaluating

Score: TypeAlias = Callable[[Tensor], Tensor]

INCOMPLETE = 0.01  # the share of f(x) - f(b) that a map may miss
ROUNDING = 1e-5  # below this share of f itself, a difference of float32 scores means nothing
HALVINGS = 64  # of a path, at most: beside an even picture, layer normalization needs 50
PARTS = 512  # of a path that are halved at once, at most
LEAST = 4  # pixels a side of a feature map that still says where


def explain(
    detector: Detector, samples: Tensor, baseline: Tensor, name: str | None = None
) -> Tensor:
    """Says where samples look wrong to a detector.

    Args:
        detector: prepared and fitted.
        samples: `(N, C, H, W)` in [-1, 1], on the detector's device.
        baseline: what a sample without anything wrong would be, such as the `mean` of the genuine
            items; `(C, H, W)`, or one for each sample.
        name: one of `EXPLANATIONS`; by default the detector's own map, and integrated gradients
            where it has none.

    Returns:
        Maps `(N, H, W)`, float32.

    Raises:
        UsageError: an unknown name, or an explanation that the detector does not allow.
    """
    if name is not None and name not in EXPLANATIONS:
        known = ", ".join(EXPLANATIONS)
        raise UsageError(f"explanation={name} is unknown: it is one of {known}")
    with evaluating(detector):
        if name is not None:
            return EXPLANATIONS[name](detector, samples, baseline).float()
        own = detector.map(samples)
        found = integrated_gradients(detector.score, samples, baseline) if own is None else own
        return found.float()


def mean(genuine: Split) -> Tensor:
    """The mean of a split's samples, `(C, H, W)`: the genuine item that is like none and all."""
    parts = torch.split(torch.arange(len(genuine), device=genuine.device), CHUNK)
    return torch.stack([genuine.batch(part)[0].sum(dim=0) for part in parts]).sum(0) / len(genuine)


def integrated_gradients(
    function: Score, samples: Tensor, baseline: Tensor | float, steps: int = 32
) -> Tensor:
    """Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, equation 1).

    `(x - b) ∫₀¹ ∇f(b + t (x - b)) dt`, summed over the channels. Complete (proposition 1): a map's
    sum is `f(x) - f(b)`, here within 1 % (or 1e-5 of f(x), below which float32 scores are noise),
    which no number of steps chosen in advance ensures:

    - with ReLU the score is piecewise linear, its gradient jumps, and quadrature of any order is of
      the first; where `f(x)` comes near `f(b)`, 1 % of their difference is little;
    - with layer and instance normalization an even picture is a singular point: the score
      of a path that begins at one changes at all scales, down to 1e-13 of the path and below.

    So the path is integrated by Gauss and Legendre's rule, and as long as a sample's map misses
    more than 1 %, those parts of its path are halved whose integrals miss the difference of the
    scores at their ends: completeness holds for every part of a path, and tells where to look.
    Legacy `torch.nn.utils.spectral_norm` needs no more than that, as long as it is in eval mode
    and has been trained: before its first pass in training mode it divides by `uᵀWv` of random
    u and v, not by the spectral norm, so that the scores, and what is missing of their difference,
    are wrong by orders of magnitude; and in training mode every pass makes it another function.

    Args:
        function: the score, differentiable.
        samples: x, `(N, C, H, W)`.
        baseline: b, of a shape that expands to x.
        steps: points on each part of a path.

    Returns:
        Maps `(N, H, W)`. A warning says where the bounds left more than 1 % missing, as at a jump
        of the score.

    Raises:
        ValueError: a sample's score depends on the others, or is another one at a second look.
    """
    with _differentiable():
        parts = [
            _complete(function, one, other, steps)
            for one, other in zip(
                torch.split(samples.clone(), 16),
                torch.split(_expanded(baseline, samples), 16),
                strict=True,
            )
        ]
    return torch.cat(parts).sum(dim=1)


def occlusion(
    function: Score, samples: Tensor, window: int, stride: int, fill: Tensor | float
) -> Tensor:
    """Occlusion (Zeiler & Fergus 2014, arXiv 1311.2901, section 4.2).

    What the score loses where a square of a sample is covered; the mean over the squares that a
    pixel lies in. The score need not be differentiable.

    Args:
        function: the score.
        samples: `(N, C, H, W)`.
        window: side of the square, in pixels.
        stride: pixels from one square to the next, at most `window`.
        fill: what covers a square, of all channels, of a shape that expands to the samples'.

    Returns:
        Maps `(N, H, W)`.
    """
    from captum.attr import Occlusion

    channels = samples.shape[1]
    parts = [
        Occlusion(function).attribute(
            one,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=other,
            perturbations_per_eval=max(1, CHUNK // len(one)),
        )[:, 0]
        for one, other in zip(
            torch.split(samples, CHUNK), torch.split(_expanded(fill, samples), CHUNK), strict=True
        )
    ]
    return torch.cat(parts)


def grad_cam(function: Score, layer: nn.Module, samples: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2).

    `ReLU(Σₖ αₖ Aᵏ)`, `αₖ` the mean over the places of the score's gradient by the feature map `Aᵏ`,
    enlarged bilinearly to the size of the samples.

    Args:
        function: the score, differentiable.
        layer: on the way to it, whose output `(N, K, h, w)` is A; `last_map` finds one.
        samples: `(N, C, H, W)`.

    Returns:
        Maps `(N, H, W)`, not negative.
    """
    from captum.attr import LayerGradCam

    cam = LayerGradCam(function, layer)
    with _differentiable():
        # One at a time: where layers look at a whole batch, a score sees them by itself, too.
        maps = [
            cam.attribute(one.requires_grad_(), relu_attributions=True).detach()
            for one in torch.split(samples.clone(), 1)
        ]
        return functional.interpolate(torch.cat(maps), samples.shape[2:], mode="bilinear")[:, 0]


def last_map(function: Score, networks: Iterable[nn.Module], samples: Tensor) -> nn.Module:
    """Finds the layer for Grad-CAM: the last one with feature maps of 4x4 or more.

    That is, where a network ends in a convolution, its activation behind it; where it ends in
    residual blocks, the last of them, and not one branch.

    Args:
        function: the score, by which the layers are called.
        networks: where to look for them.
        samples: of which one is scored.

    Raises:
        UsageError: there is no such layer, or a single score calls it more than once.
    """
    found: list[nn.Module] = []

    def note(layer: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) >= LEAST:
            found.append(layer)

    layers = dict.fromkeys(layer for network in networks for layer in network.modules())
    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        with torch.no_grad():
            function(samples[:1])
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise UsageError(
            "explanation=grad_cam: on the way to the score no layer has feature maps of 4x4 or "
            "more: choose explanation=integrated_gradients or occlusion"
        )
    if (calls := found.count(found[-1])) > 1:
        raise UsageError(
            f"explanation=grad_cam: the score looks {calls} times through the layer with the last "
            "feature maps, and of these Grad-CAM would show one alone: choose "
            "explanation=integrated_gradients or occlusion"
        )
    return found[-1]


def _own(detector: Detector, samples: Tensor, baseline: Tensor) -> Tensor:
    found = detector.map(samples)
    if found is None:
        raise UsageError(
            f"explanation=own: {type(detector).__name__} has no map of its own: choose "
            "explanation=integrated_gradients, occlusion or grad_cam"
        )
    return found


def _integrated_gradients(detector: Detector, samples: Tensor, baseline: Tensor) -> Tensor:
    return integrated_gradients(detector.score, samples, baseline)


def _occlusion(detector: Detector, samples: Tensor, baseline: Tensor) -> Tensor:
    """By windows of an eighth of the height, each half over the last."""
    window = max(2, samples.shape[2] // 8)
    return occlusion(detector.score, samples, window, window // 2, baseline)


def _grad_cam(detector: Detector, samples: Tensor, baseline: Tensor) -> Tensor:
    networks = [detector, detector.trained.discriminator]
    layer = last_map(detector.score, filter(None, networks), samples)
    return grad_cam(detector.score, layer, samples)


EXPLANATIONS: dict[str, Callable[[Detector, Tensor, Tensor], Tensor]] = {
    "own": _own,
    "integrated_gradients": _integrated_gradients,
    "occlusion": _occlusion,
    "grad_cam": _grad_cam,
}


def _complete(function: Score, samples: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """Integrates along the paths from baseline to samples, each until it is complete.

    Returns:
        Attributions `(N, C, H, W)`.
    """
    from captum.attr import IntegratedGradients

    gradients = IntegratedGradients(function)
    wanted = _scores(function, samples) - _scores(function, baseline)
    size = _checked(function, samples).abs()
    allowed = torch.maximum(INCOMPLETE * wanted.abs(), ROUNDING * size)
    total, missing = torch.zeros_like(samples), torch.zeros_like(wanted)

    # The parts in work: whose path they are of, and from where on it to where.
    path = torch.arange(len(samples), device=samples.device)
    start, end = torch.zeros_like(wanted), torch.ones_like(wanted)
    for halving in range(HALVINGS + 1):
        low, high = (
            torch.lerp(baseline[path], samples[path], place[:, None, None, None])
            for place in (start, end)
        )
        made = torch.cat(
            [
                gradients.attribute(*ends, n_steps=steps, method="gausslegendre").detach()
                for ends in zip(
                    torch.split(high, max(1, CHUNK // steps)),
                    torch.split(low, max(1, CHUNK // steps)),
                    strict=True,
                )
            ]
        )
        gap = _scores(function, high) - _scores(function, low) - made.sum(dim=(1, 2, 3))

        parts = path.bincount(minlength=len(samples))
        over = missing.index_add(0, path, gap).abs() > allowed  # of the paths
        spare = (allowed - missing.abs()) / parts / 4  # what a part may miss for good
        again = over[path] & (gap.abs() > spare[path])
        again &= (parts <= PARTS)[path] & (halving < HALVINGS)
        total.index_add_(0, path[~again], made[~again])
        missing.index_add_(0, path[~again], gap[~again])
        if not again.any():
            break
        path, start, end = path[again], start[again], end[again]
        middle = (start + end) / 2
        path, start, end = path.repeat(2), torch.cat([start, middle]), torch.cat([middle, end])

    if bool((missing.abs() > allowed).any()):
        share = float((missing / wanted).abs().nan_to_num(torch.inf).max())
        number = int((missing.abs() > allowed).sum())
        warnings.warn(
            f"integrated gradients: {number} of {len(samples)} maps miss more than "
            f"{INCOMPLETE:.0%} of what their score differs by, the worst {share:.0%}: a score that "
            "jumps is explained by occlusion",
            RuntimeWarning,
            stacklevel=3,
        )
    return total


def _checked(function: Score, samples: Tensor) -> Tensor:
    """The samples' scores, if one of them is scored by itself as it is among the others."""
    together, alone = _scores(function, samples), _scores(function, samples[:1])
    if not torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-4):
        raise ValueError(
            f"a sample's score is {float(together[0]):.6g} among others and {float(alone):.6g} by "
            "itself: put the networks in eval mode, and score each sample by itself"
        )
    return together


@torch.no_grad()
def _scores(function: Score, samples: Tensor) -> Tensor:
    return torch.cat([function(part) for part in torch.split(samples, CHUNK)]).float()


def _expanded(value: Tensor | float, samples: Tensor) -> Tensor:
    values = torch.as_tensor(value, dtype=samples.dtype, device=samples.device)
    return values.expand_as(samples).clone()


@contextmanager
def _differentiable() -> Iterator[None]:
    """Takes gradients, whatever the caller does without."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
