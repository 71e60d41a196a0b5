"""Recorded iterations give what written ones give, to the last bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")

WORDS = ["data=digits", "data.resolution=32", "model.width=8", "batch_size=16", "every.log=64"]


def weights(run: Path) -> dict[str, Any]:
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {**content["state_dict"], "images": content["images"]}


@pytest.mark.parametrize(
    "words",
    [
        ["model=dcgan", "loss=vanilla", "schedule=linear"],
        ["model=dcgan", "loss=wgan_gp", "penalty=[lecam]", "augmentation=instance_noise"],
        ["model=article", "loss=hinge", "gradient_clip=1"],
        ["model=resnet", "loss=hinge", "trainer.precision=bf16-mixed"],
        ["model=dcgan", "loss=rpgan_r1_r2", "loss.penalties.r1.every=4", "micro_batch=8"],
    ],
    ids=["schedule", "critic_steps", "dropout", "bf16", "lazy"],
)
def test_replayed_is_as_written(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    words = [*WORDS, *words]
    written = weights(train(*words, "images=1280"))
    replayed = weights(train(*words, "images=1280", "trainer.cuda_graphs=true"))
    # A run goes on from a checkpoint of one kind as the other.
    half = train(*words, "images=640")
    resumed = weights(train(f"resume={half}", "images=1280", "trainer.cuda_graphs=true"))
    assert written["images"] == 1280
    for name, value in written.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(replayed[name])), name
        # A schedule and fading noise go by the budget, which the run that went on had less of.
        if not {"schedule=linear", "augmentation=instance_noise"} & set(words):
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(resumed[name])), name
