import sys
from pathlib import Path
from types import ModuleType

import pytest
from torch import Tensor, nn

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor, load


class Own(Extractor):
    name = "own"
    num_features = 1
    fingerprint = "own"

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 2, 3)).unsqueeze(1)


class Nameless(Extractor):
    pass


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("elsewhere")
    vars(module).update(Own=Own, Nameless=Nameless, Plain=nn.Identity)
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    return "elsewhere"


def refusal(name: str, weights: Path | str | None = None, resize: str = "legacy") -> str:
    with pytest.raises(UsageError) as raised:
        load(name, weights, resize)
    return str(raised.value)


def test_a_class_of_ones_own_is_found_by_its_path(own: str) -> None:
    assert isinstance(load(f"{own}.Own"), Own)
    chosen = load(f"{own}.Own", "w.pt")
    assert isinstance(chosen, Own)
    assert chosen.weights == "w.pt"


def test_what_is_no_extractor_is_refused(own: str) -> None:
    assert "choose fashion, digits, stacked_digits, inception, clip, dinov2" in refusal("resnet")
    assert "protocol.extractor=nowhere.Own cannot be imported" in refusal("nowhere.Own")
    assert f"protocol.extractor={own}.Other cannot be imported" in refusal(f"{own}.Other")
    assert "not a subclass" in refusal(f"{own}.Plain")
    assert "does not set name, num_features, fingerprint" in refusal(f"{own}.Nameless")


def test_weights_are_not_for_an_extractor_that_brings_its_own() -> None:
    assert "protocol.weights=w.safetensors" in refusal("fashion", "w.safetensors")


def test_only_inception_resizes_in_another_way(own: str) -> None:
    for name in ("fashion", "digits", "clip", "dinov2", f"{own}.Own"):
        message = refusal(name, resize="clean")
        for words in ("protocol.resize=clean", "protocol.extractor=inception", name):
            assert words in message
    assert refusal("inception", resize="bicubic") == (
        "protocol.resize=bicubic: it has to be legacy or clean."
    )


def test_an_extractor_is_no_classifier_unless_it_says_so(own: str) -> None:
    extractor = load(f"{own}.Own")
    with pytest.raises(UsageError, match=r"own is no classifier.*extractor=inception or fashion"):
        extractor.logits(extractor(Tensor(2, 1, 4, 4)))


def test_points_have_no_extractor() -> None:
    assert "metrics=point_modes, or metrics=none" in refusal("none")
