"""The accuracy on real images of a classifier that has seen generated ones alone."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from touchstone.data.images import normalize
from touchstone.draws import derive, seed_layers
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.labels import matched_labels
from touchstone.metrics.sets import ImageSet, Sets

BATCH = 128
RATE = 2e-3  # Adam's, at the start


class ClassificationAccuracy:
    """The classification accuracy score (Ravuri & Vinyals 2019, section 3).

    A classifier is trained on the generated images and their labels, and tested on real ones it has
    not seen: the test split; or, where the real images have no splits, a random half of them. What
    the images lack shows as an accuracy below that of the same classifier trained on as many real
    images (as there are, at most), of the train split or the other half.

    The paper trains a ResNet-50 on ImageNet for 90 epochs. Here it is a small convolutional network
    (see `Classifier`): figures are comparable with each other, not with the paper's.

    Args:
        epochs: how often each image is trained on. Five suit 10,000 images; of 1,500 digits, five
            leave `cas/real` at 0.79, and twenty bring it above 0.9.

    Raises:
        UsageError: no epochs are asked for.
    """

    higher_is_better = True
    extractor: Extractor | None = None

    def __init__(self, epochs: int = 5) -> None:
        if epochs < 1:
            raise UsageError(f"metrics.figures.cas.epochs={epochs}: it has to be 1 or more")
        self._epochs = epochs

    def check(self, sets: Sets) -> None:
        """Refuses images without labels, and classes that are not the real ones."""
        matched_labels(sets, "cas")
        sets.split("train"), sets.split("test")  # refuses data without one of them
        if min(len(sets.generated), len(sets.reference)) < 2:
            raise UsageError("metrics=cas needs two images of each kind, at least")

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The accuracies, in [0, 1].

        Returns:
            `cas`; `cas/real`, of the classifier trained on real images; and the accuracy of the
            former on each class that is tested, `cas/CLASS`.

        Raises:
            UsageError: images of two sizes.
        """
        train, test = _real(sets)
        number = min(len(sets.generated), len(train[1]))
        chosen = torch.randperm(len(train[1]), generator=torch.Generator().manual_seed(0))[:number]
        generated = sets.generated.pixels(), matched_labels(sets, "cas")
        if generated[0].shape[1:] != test[0].shape[1:]:
            raise UsageError(
                f"metrics=cas: the generated images are {tuple(generated[0].shape[1:])} and the "
                f"real ones {tuple(test[0].shape[1:])} (channels, height, width): they have to be "
                "alike"
            )
        classes, device = sets.reference.classes, sets.generated.device
        trained = (
            train_classifier(*images, len(classes), self._epochs, device)
            for images in (generated, (train[0][chosen], train[1][chosen]))
        )
        right, right_real = (classifier.predict(test[0]) == test[1] for classifier in trained)
        by_class = {
            f"cas/{name}": float(right[test[1] == label].double().mean())
            for label, name in enumerate(classes)
            if (test[1] == label).any()
        }
        return {
            "cas": float(right.double().mean()),
            "cas/real": float(right_real.double().mean()),
            **by_class,
        }


class Classifier(nn.Module):
    """3x3 convolutions of stride 2, each with batch normalisation and ReLU, to 4 pixels or fewer.

    The channels are 32, 64, 128 and 256 from there on. Their means over the pixels go through one
    dense layer. Images of 28x28 have three convolutions and 93,000 weights.

    Args:
        channels: of an image.
        side: the longer side of an image.
        classes: how many.
    """

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        width = 32
        while side > 4 or not len(self.layers):
            self.layers.extend(
                [
                    nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
            )
            channels, width, side = width, min(2 * width, 256), (side + 1) // 2
        self.logits = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Maps uint8 images `(N, C, H, W)` to logits `(N, classes)`."""
        logits: Tensor = self.logits(self.layers(normalize(images)).mean((2, 3)))
        return logits

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """The most probable labels, int64 `(N,)`, of uint8 images; both on the CPU."""
        self.eval()
        device = self.logits.weight.device
        return torch.cat(
            [self(part.to(device)).argmax(1).cpu() for part in torch.split(images, 1000)]
        )


@torch.inference_mode(False)
def train_classifier(
    images: Tensor, labels: Tensor, classes: int, epochs: int, device: torch.device | str = "cpu"
) -> Classifier:
    """Trains a classifier with Adam, its rate falling to 0 along a cosine.

    Equal arguments give equal weights, and the random numbers of others are not touched.

    Args:
        images: uint8 `(N, C, H, W)`, N being 2 or more.
        labels: int64 `(N,)`.
        classes: how many there are.
        epochs: how often each image is trained on.
        device: where.
    """
    with torch.random.fork_rng(devices=[]):
        seed_layers(derive(0, "classifier"), torch.device("cpu"))
        classifier = Classifier(images.shape[1], max(images.shape[2:]), classes)
    classifier.to(device).train()
    # Of batches that are equally large but for one image, so that none is a single one.
    batches = -(-len(images) // BATCH)
    optimizer = torch.optim.Adam(classifier.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    draws = torch.Generator().manual_seed(derive(0, "order"))
    with (
        torch.autocast(torch.device(device).type, enabled=False),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        for _ in tqdm(range(epochs), desc="classifier", unit="epoch", delay=2, disable=None):
            for rows in torch.randperm(len(images), generator=draws).tensor_split(batches):
                logits = classifier(images[rows].to(device))
                loss = functional.cross_entropy(logits, labels[rows].to(device))
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
    return classifier


def _real(sets: Sets) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The real images to train on and those to test on, each with their labels."""
    train, test = sets.split("train"), sets.split("test")
    if train is not None and test is not None:
        return _labelled(train), _labelled(test)
    pixels, labels = _labelled(sets.reference)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    first, second = order.tensor_split(2)
    return (pixels[first], labels[first]), (pixels[second], labels[second])


def _labelled(images: ImageSet) -> tuple[Tensor, Tensor]:
    assert images.labels is not None, "a split has the labels that the reference has"
    return images.pixels(), images.labels
