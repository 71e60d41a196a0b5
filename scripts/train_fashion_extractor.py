"""Trains the classifier behind protocol.extractor=fashion, and writes its weights.

    python scripts/train_fashion_extractor.py data

A few minutes on two cores. The SHA-256 that it prints belongs into FASHION_SHA256 of
touchstone/metrics/extractors/fashion.py.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from touchstone import metrics
from touchstone.data import fashion_mnist
from touchstone.metrics.extractors import FashionClassifier

BATCH = 128
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.02
SMOOTHING = 0.05
SHIFT = 2  # pixels


def augmented(images: Tensor) -> Tensor:
    """Flips each image, `(N, 1, 28, 28)`, by chance and shifts it by up to SHIFT pixels."""
    size = images.shape[-1]
    padded = F.pad(images, [SHIFT] * 4)
    flipped = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, padded.flip(-1), padded)
    corner = torch.randint(0, 2 * SHIFT + 1, (2, len(images), 1, 1))
    rows = corner[0] + torch.arange(size).view(1, size, 1)
    columns = corner[1] + torch.arange(size).view(1, 1, size)
    return flipped[torch.arange(len(images)).view(-1, 1, 1), 0, rows, columns].unsqueeze(1)


def train(images: Tensor, labels: Tensor, epochs: int) -> FashionClassifier:
    """Trains a classifier by AdamW under one cycle of the learning rate."""
    classifier = FashionClassifier().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(classifier.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, epochs * steps)
    for epoch in range(epochs):
        order = torch.randperm(len(images))[: steps * BATCH].view(steps, BATCH)
        for batch in tqdm(order, f"epoch {epoch + 1}/{epochs}", disable=None):
            logits = classifier(augmented(images[batch]))
            loss = F.cross_entropy(logits, labels[batch], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return classifier.eval()


@torch.no_grad()
def accuracy(classifier: FashionClassifier, images: Tensor, labels: Tensor) -> float:
    """The share of images that the classifier labels rightly."""
    answers = torch.cat([classifier(batch).argmax(1) for batch in torch.split(images, 1000)])
    return (answers == labels).double().mean().item()


def main() -> None:
    """Trains, tests, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the data folder")
    parser.add_argument("--epochs", type=int, default=11)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--output", type=Path, default=Path(metrics.__file__).with_name("fashion.safetensors")
    )
    settings = parser.parse_args()

    torch.manual_seed(settings.seed)
    training = fashion_mnist.load(settings.data, "train")
    test = fashion_mnist.load(settings.data, "test")
    assert training.labels is not None
    assert test.labels is not None
    classifier = train(training.pixels, training.labels, settings.epochs)
    reached = accuracy(classifier, test.pixels, test.labels)
    content = save(
        {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()},
        # One entry, since safetensors writes several in an order drawn by chance.
        metadata={
            "training": json.dumps(
                {
                    "script": Path(__file__).name,
                    "epochs": settings.epochs,
                    "seed": settings.seed,
                    "torch": torch.__version__,
                    "test_accuracy": round(reached, 4),
                }
            )
        },
    )
    settings.output.write_bytes(content)
    print(f"{settings.output}: {len(content):,} bytes, {reached:.2%} of the test images right")
    print(f'FASHION_SHA256 = "{hashlib.sha256(content).hexdigest()}"')


if __name__ == "__main__":
    main()
