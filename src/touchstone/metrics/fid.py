"""The Fréchet Inception Distance, and the reference's statistics, computed once and kept."""

import hashlib
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, distributed, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from tqdm import tqdm

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor

BATCH = 500  # reference images at a time: 10,000 of 28x28 a second on two CPU cores


class Reference(Protocol):
    """The real images that generated ones are compared with."""

    @property
    def pixels(self) -> Tensor:
        """The images, uint8 `(N, C, H, W)`."""

    @property
    def content_hash(self) -> str:
        """A hash of the pixels and their shape."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Statistics:
    """The sums over images that a mean and a covariance of features are made of.

    Attributes:
        count: how many images, int64 `()`.
        total: the sum of their features f, float64 `(F,)`.
        outer: the sum of f f^T, float64 `(F, F)`.
    """

    count: Tensor
    total: Tensor
    outer: Tensor

    def save(self, file: Path) -> None:
        """Writes the file whole or not at all, also beside other jobs that write it."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in vars(self).items()}
        content = save(tensors, {"sha256": self._digest()})
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=file.parent) as folder:
            whole = Path(folder) / file.name
            whole.write_bytes(content)
            whole.replace(file)

    @classmethod
    def load(cls, file: Path) -> "Statistics | None":
        """Reads a file that `save` wrote; None where there is none, or a damaged one."""
        try:
            with safe_open(file, "pt") as opened:
                read = cls(*(opened.get_tensor(name) for name in ("count", "total", "outer")))
                whole = (opened.metadata() or {}).get("sha256") == read._digest()
        except (OSError, SafetensorError):
            return None
        return read if whole else None

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for tensor in vars(self).values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


class FID:
    """The Fréchet Inception Distance of generated images to a reference.

    With m, C the mean and the covariance (over N - 1) of the features of each:
    |m_g - m_r|^2 + tr(C_g + C_r - 2 (C_g C_r)^(1/2)) (Heusel et al. 2017, equation 6).
    torchmetrics computes it, in float64 throughout, after the extractor in float32.

    Prepare it once, then update and compute as often as wanted, with a reset between. Under
    several processes each updates with its own part of the images, and all compute together.

    Args:
        extractor: what the features are taken by; frozen and put into evaluation mode here.
        generated: how many images every figure is computed from; part of `name`.
        cache: the folder in which the reference's statistics are kept, under `statistics/`, found
            by the content of the images and the extractor's fingerprint. None: nothing is kept.

    Attributes:
        name: `fid10k_fashion`: the metric, the number of generated images, the extractor.

    Raises:
        UsageError: fewer generated images than features, whose covariance would be singular.
    """

    def __init__(self, extractor: Extractor, generated: int, cache: str | Path | None) -> None:
        if generated < extractor.num_features:
            raise UsageError(
                f"metrics.generated={generated} is too few: the FID needs at least as many images "
                f"as metrics.extractor={extractor.name} has features, {extractor.num_features}."
            )
        self.extractor = extractor
        self.generated = generated
        count = f"{generated // 1000}k" if generated % 1000 == 0 else str(generated)
        self.name = f"fid{count}_{extractor.name}"
        self._cache = None if cache is None else Path(cache).expanduser() / "statistics"
        self._reference: Statistics | None = None
        # Synchronised by hand, in compute, so that the images can be counted over all processes.
        self._metric = FrechetInceptionDistance(
            _Exact(extractor), sync_on_compute=False, compute_with_cache=False
        )

    def to(self, device: torch.device | str) -> "FID":
        """Moves the extractor and the sums to a device."""
        self._metric.to(device)
        return self

    def prepare(self, reference: Reference, device: torch.device | str) -> None:
        """Takes the reference's statistics from the cache, or computes and keeps them.

        Args:
            reference: the real images, at least as many as there are features.
            device: where this and everything after it is computed.

        Raises:
            UsageError: fewer images than features, or a feature that is not finite.
        """
        if len(reference) < self.extractor.num_features:
            raise UsageError(
                f"The data has {len(reference)} images, too few as a reference: the FID needs at "
                f"least as many as metrics.extractor={self.extractor.name} has features, "
                f"{self.extractor.num_features}. Choose another metrics.extractor, more data, "
                "or metrics=none."
            )
        self.to(device)
        self.reset()
        if _rank() > 0:  # only the first process lays the reference into the sums, in `compute`
            return
        key = f"{reference.content_hash} {self.extractor.fingerprint}"
        name = hashlib.sha256(key.encode()).hexdigest() + ".safetensors"
        file = None if self._cache is None else self._cache / name
        kept = None if file is None else Statistics.load(file)
        self._reference = kept or self._measured(reference, device)
        if file is not None and kept is None:
            try:
                self._reference.save(file)
            except OSError as error:
                warnings.warn(
                    f"The reference's statistics cannot be kept in {file} ({error.strerror}): "
                    "they will be computed again.",
                    stacklevel=2,
                )

    def update(self, images: Tensor) -> None:
        """Adds generated images, uint8 `(N, C, H, W)`, on the device.

        Raises:
            UsageError: a feature that is not finite.
            ValueError: images that are not uint8 `(N, C, H, W)`.
        """
        self._metric.update(images, real=False)

    def compute(self) -> float:
        """Computes the distance from what was added since the last reset, on all processes.

        Raises:
            ValueError: not as many images as `generated` says were added, or nothing was prepared.
        """
        if _rank() == 0:  # torchmetrics adds the sums of all processes up
            self._lay_reference()
        with self._metric.sync_context():
            added = int(self._metric.fake_features_num_samples)
            if added != self.generated:
                raise ValueError(f"{self.name} goes by {self.generated} images, not {added}")
            return float(self._metric.compute())

    def reset(self) -> None:
        """Forgets the generated images, and keeps the reference."""
        self._metric.reset()

    def _lay_reference(self) -> None:
        if self._reference is None:
            raise ValueError("prepare the reference before computing the FID")
        device = self._metric.device
        self._metric.real_features_num_samples = self._reference.count.to(device)
        self._metric.real_features_sum = self._reference.total.to(device)
        self._metric.real_features_cov_sum = self._reference.outer.to(device)

    def _measured(self, reference: Reference, device: torch.device | str) -> Statistics:
        with tqdm(
            total=len(reference), desc="reference", unit=" images", delay=2, disable=None
        ) as progress:
            for start in range(0, len(reference), BATCH):
                images = reference.pixels[start : start + BATCH]
                self._metric.update(images.to(device), real=True)
                progress.update(len(images))
        measured = Statistics(
            self._metric.real_features_num_samples.cpu(),
            self._metric.real_features_sum.cpu(),
            self._metric.real_features_cov_sum.cpu(),
        )
        self.reset()
        return measured


class _Exact(nn.Module):
    """An extractor as torchmetrics needs it: frozen, checked, its features in float64.

    torchmetrics gives its figure in the features' own type.
    """

    def __init__(self, extractor: Extractor) -> None:
        super().__init__()
        self.num_features = extractor.num_features
        self.extractor = extractor.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise ValueError(
                f"an extractor takes uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}"
            )
        # A trainer's lower precision is none of the metric's.
        with torch.autocast(images.device.type, enabled=False):
            features: Tensor = self.extractor(images).double()
        if not features.isfinite().all():
            raise UsageError(
                f"metrics.extractor={self.extractor.name} gave a feature that is not finite: "
                "its weights are damaged, or do not suit these images."
            )
        return features


def _rank() -> int:
    joined = distributed.is_available() and distributed.is_initialized()
    return distributed.get_rank() if joined else 0
