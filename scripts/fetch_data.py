"""Gets a data set before anything needs it: python scripts/fetch_data.py data=fashion_mnist."""

from hydra.utils import instantiate
from omegaconf import DictConfig

from touchstone.cli.front import enter


def fetch(settings: DictConfig) -> None:
    """Loads both splits, which fetches what is not there yet and checks what is."""
    load = instantiate(settings.data.load)
    for split in ("train", "test"):
        print(f"{settings.data.name}: {len(load(split=split)):,} images to {split} with")


if __name__ == "__main__":
    enter("train", fetch)
