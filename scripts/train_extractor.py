"""Trains the classifier behind an extractor of our own, and writes its weights.

    python scripts/train_extractor.py fashion data

A few minutes on two cores. The SHA-256 that it prints belongs into FASHION_SHA256 of
touchstone/metrics/extractors/fashion.py, or DIGITS_SHA256 of digits.py beside it.
"""

import argparse
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from touchstone import metrics
from touchstone.data import digits, fashion_mnist
from touchstone.data.images import Images
from touchstone.metrics.extractors import DigitsClassifier, FashionClassifier
from touchstone.metrics.extractors.classifier import Classifier

BATCH = 128
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.02
SMOOTHING = 0.05
SHIFT = 2  # pixels of a picture of clothes
TURN = math.radians(10)  # of a digit, at most
SCALE = 0.1  # by which a digit is larger or smaller, and slanted, at most
MOVE = 0.1  # of half a picture, that a digit is shifted by at most


@dataclass(frozen=True)
class Task:
    """What a classifier is trained on.

    Attributes:
        classifier: makes it.
        load: gives a split, from the data folder.
        augmented: changes images, uint8 `(N, 1, H, W)`, by chance.
        epochs: passes through the training images.
    """

    classifier: Callable[[], Classifier]
    load: Callable[[Path, str], Images]
    augmented: Callable[[Tensor], Tensor]
    epochs: int


def flipped_and_shifted(images: Tensor) -> Tensor:
    """Flips each image, `(N, 1, 28, 28)`, by chance and shifts it by up to SHIFT pixels."""
    size = images.shape[-1]
    padded = F.pad(images, [SHIFT] * 4)
    flipped = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, padded.flip(-1), padded)
    corner = torch.randint(0, 2 * SHIFT + 1, (2, len(images), 1, 1))
    rows = corner[0] + torch.arange(size).view(1, size, 1)
    columns = corner[1] + torch.arange(size).view(1, 1, size)
    return flipped[torch.arange(len(images)).view(-1, 1, 1), 0, rows, columns].unsqueeze(1)


def turned_and_scaled(images: Tensor) -> Tensor:
    """Turns, scales, slants and shifts each image, `(N, 1, H, W)`, a little."""
    number = len(images)
    angle = TURN * (2 * torch.rand(number) - 1)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    scale = torch.eye(2) + SCALE * (2 * torch.rand(number, 2, 2) - 1)
    move = MOVE * (2 * torch.rand(number, 2, 1) - 1)
    grid = F.affine_grid(torch.cat([turn @ scale, move], 2), list(images.shape), False)
    return F.grid_sample(images.float(), grid, align_corners=False).round().to(torch.uint8)


TASKS = {
    "fashion": Task(FashionClassifier, fashion_mnist.load, flipped_and_shifted, epochs=11),
    "digits": Task(DigitsClassifier, digits.load, turned_and_scaled, epochs=100),
}


def train(task: Task, images: Tensor, labels: Tensor, epochs: int) -> Classifier:
    """Trains a classifier by AdamW under one cycle of the learning rate."""
    classifier = task.classifier().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(classifier.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, epochs * steps)
    for epoch in range(epochs):
        order = torch.randperm(len(images))[: steps * BATCH].view(steps, BATCH)
        for batch in tqdm(order, f"epoch {epoch + 1}/{epochs}", disable=None):
            logits = classifier(task.augmented(images[batch]))
            loss = F.cross_entropy(logits, labels[batch], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return classifier.eval()


@torch.no_grad()
def accuracy(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    """The share of images that the classifier labels rightly."""
    answers = torch.cat([classifier(batch).argmax(1) for batch in torch.split(images, 1000)])
    return (answers == labels).double().mean().item()


def main() -> None:
    """Trains, tests, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extractor", choices=TASKS)
    parser.add_argument("data", type=Path, help="the data folder")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="by default the package's own")
    settings = parser.parse_args()
    task: Task = TASKS[settings.extractor]
    epochs: int = settings.epochs or task.epochs
    package = Path(metrics.__file__)
    output: Path = settings.output or package.with_name(f"{settings.extractor}.safetensors")

    torch.manual_seed(settings.seed)
    training, test = task.load(settings.data, "train"), task.load(settings.data, "test")
    assert training.labels is not None
    assert test.labels is not None
    classifier = train(task, training.pixels, training.labels, epochs)
    reached = accuracy(classifier, test.pixels, test.labels)
    content = save(
        {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()},
        # One entry, since safetensors writes several in an order drawn by chance.
        metadata={
            "training": json.dumps(
                {
                    "script": Path(__file__).name,
                    "epochs": epochs,
                    "seed": settings.seed,
                    "torch": torch.__version__,
                    "test_accuracy": round(reached, 4),
                }
            )
        },
    )
    output.write_bytes(content)
    print(f"{output}: {len(content):,} bytes, {reached:.2%} of the test images right")
    print(f'{settings.extractor.upper()}_SHA256 = "{hashlib.sha256(content).hexdigest()}"')


if __name__ == "__main__":
    main()
