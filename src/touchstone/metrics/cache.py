"""What was computed on real images, kept for every run that asks again."""

import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from touchstone.data.files import alone


class Cache:
    """A folder of tensors, each entry found by a hash of what it was computed from.

    An entry is written whole or not at all, and carries the hash of its content: a damaged one is
    as good as none, and is made anew.

    Args:
        folder: where the entries lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, entry: str) -> bool:
        """Whether there is an entry, whole or damaged."""
        return self._file(entry).is_file()

    def load(self, entry: str) -> dict[str, Tensor] | None:
        """Reads an entry's tensors; None where there is none, or a damaged one."""
        try:
            with safe_open(self._file(entry), "pt") as opened:
                tensors = {name: opened.get_tensor(name) for name in sorted(opened.keys())}
                digest = (opened.metadata() or {}).get("sha256")
        except (OSError, SafetensorError):
            return None
        return tensors if digest == _digest(tensors) else None

    def save(self, entry: str, tensors: Mapping[str, Tensor]) -> None:
        """Keeps tensors; where the disk does not let it, says so and goes on."""
        whole = {name: tensors[name].cpu().contiguous() for name in sorted(tensors)}
        file = self._file(entry)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=file.parent) as folder:
                unfinished = Path(folder) / file.name
                unfinished.write_bytes(save(whole, {"sha256": _digest(whole)}))
                unfinished.replace(file)
        except OSError as error:
            warnings.warn(
                f"{file} cannot be written ({error.strerror}): it will be computed again.",
                stacklevel=2,
            )

    @contextmanager
    def making(self, entry: str) -> Iterator[None]:
        """Lets one job on this machine make an entry, while others wait for it."""
        try:
            lock = alone(self._file(entry))
            lock.__enter__()
        except OSError:  # cannot be written: nothing will be kept, and nobody waits for it
            yield
            return
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _file(self, entry: str) -> Path:
        return self._folder / f"{entry}.safetensors"


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()
