"""Files of weights: found or downloaded, told by their SHA-256, and read without running code."""

import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, TypeVar

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from touchstone.data.files import alone
from touchstone.errors import UsageError

State: TypeAlias = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


def tensors(content: bytes) -> State:
    """Reads a file of safetensors, or one of torch's by the unpickler that runs no code.

    Raises:
        Exception: of any type that a damaged file makes a reader raise.
    """
    # A safetensors file starts with eight bytes that tell the length of its header, in JSON.
    if content[8:9] == b"{":
        return load_safetensors(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that TorchScript is run, which is then refused
        state: State = torch.load(io.BytesIO(content), "cpu", weights_only=True)
    return state


@dataclass(frozen=True)
class Published:
    """A file of weights as its authors publish it.

    Attributes:
        extractor: whose weights they are, as in `protocol.extractor`.
        network: what the file holds, in words.
        url: where it is published.
        sha256: the file's, in hex.
        cached_as: its name in torch hub's cache.
        read: opens the file, once its hash is known to be right; any other file is opened by
            `tensors`.
    """

    extractor: str
    network: str
    url: str
    sha256: str
    cached_as: str
    read: Callable[[bytes], State] = tensors

    def find(self, weights: str | Path | None) -> "Weights":
        """Finds the file: `weights` where given, else in torch hub's cache, else by a download.

        Raises:
            UsageError: the file cannot be read, or not be downloaded.
        """
        path = self._cached() if weights is None else Path(weights).expanduser()
        try:
            return Weights(self, path, path.read_bytes())
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read ({error.strerror}): protocol.weights has to be the path "
                f"of {self.file}, from {self.url}"
            ) from error

    @property
    def file(self) -> str:
        """The name that it is published under."""
        return self.url.rpartition("/")[2]

    def _cached(self) -> Path:
        path = Path(torch.hub.get_dir()) / "checkpoints" / self.cached_as
        try:
            if not path.exists():
                with alone(path):
                    if not path.exists():  # another process may have been first
                        torch.hub.download_url_to_file(self.url, str(path), self.sha256)
        except (OSError, RuntimeError) as error:
            raise UsageError(
                f"protocol.extractor={self.extractor} needs its weights; the download failed "
                f"({error}). Get {self.url} elsewhere and set protocol.weights=PATH, or put it at "
                f"{path}, or choose protocol.extractor=fashion."
            ) from error
        return path


@dataclass(frozen=True)
class Weights:
    """A file of weights, read once: what is hashed is what is used.

    Attributes:
        published: what the file is meant to be.
        path: where it was found.
        content: all its bytes.
    """

    published: Published
    path: Path
    content: bytes

    @cached_property
    def digest(self) -> str:
        """The file's SHA-256, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def are_published(self) -> bool:
        """Whether the file is the published one."""
        return self.digest == self.published.sha256

    def named(self, extractor: str) -> str:
        """The extractor's name with these weights; the hash is in it unless they are published."""
        return extractor if self.are_published else f"{extractor}_{self.digest[:8]}"

    def build(self, make: Callable[[State], Network]) -> Network:
        """Makes a network of the file's tensors, frozen and in evaluation mode.

        Raises:
            UsageError: the file is damaged, holds code, or holds another network's tensors.
        """
        read = self.published.read if self.are_published else tensors
        try:
            return make(read(self.content)).requires_grad_(False).eval()
        except Exception as error:  # a damaged file may raise anything
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UsageError(
                f"{self.path} does not hold the weights of {self.published.network} ({reason}): "
                f"delete it, or set protocol.weights to the path of {self.published.file}, "
                f"from {self.published.url}"
            ) from error
