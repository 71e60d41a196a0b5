"""Every model, and every part that changes one: trained in each way that it is meant for.

Run as a program, `python test_models.py FOLDER`, it trains each as one of several processes, as the
variables of the environment say, and writes what the networks came to.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

import touchstone
from touchstone.cli.export import export
from touchstone.cli.front import register_resolvers
from touchstone.cli.game import build, memory_format
from touchstone.cli.sample import sample
from touchstone.cli.train import of_lightning, training_split
from touchstone.data.images import quantize
from touchstone.data.module import Data
from touchstone.gan import GAN
from touchstone.tracking.checkpoints import Checkpoints
from touchstone.trained import Trained

CONF = Path(__file__).parents[1] / "conf"
PEOPLE = Path(__file__).with_name("people.csv")  # who are made up
TINY = "data=digits metrics=none logger=none trainer.accelerator=cpu batch_size=4"
ITERATIONS = 20
EVERY = (
    "vanilla",
    "least_squares",
    "wasserstein",
    "wgan_gp",
    "hinge",
    "relativistic",
    "relativistic_average",
    "rpgan_r1_r2",
)
# Those that models of today's sizes are trained with.
TODAYS = ("vanilla", "wgan_gp", "hinge", "rpgan_r1_r2")


@dataclass(frozen=True)
class Model:
    """What is trained, as small as it can be.

    Attributes:
        words: that choose it.
        own: those of its paper's loss.
        meant: the other losses that it is meant for.
    """

    words: str
    own: str = "loss=vanilla"
    meant: tuple[str, ...] = ()


MODELS = {
    "article": Model("model=article model.width=4", meant=EVERY),
    "dcgan": Model("model=dcgan model.width=4", meant=EVERY),
    "resnet": Model("model=resnet model.width=2", "loss=hinge", EVERY),
    "mlp": Model("model=mlp model.width=8 model.discriminator.width=8", meant=EVERY),
    "infogan": Model("model=infogan model.width=4", meant=EVERY),
    "mixture": Model(
        "model=mixture model.width=4 model.discriminator_width=4 model.experts=2", meant=EVERY
    ),
    "sagan": Model("model=sagan model.width=2", "loss=hinge", EVERY),
    "progan": Model(
        # The second half begins in the midst of a fade, and ends with the last level in use.
        "model=progan data.resolution=16 model.width=4 model.fade=12 model.stable=12",
        "loss=wgan_gp loss.critic_steps=1 penalty=[drift]",
        TODAYS,
    ),
    "biggan": Model("model=biggan model.width=2", "loss=hinge loss.critic_steps=2", TODAYS),
    "stylegan2": Model(
        "model=stylegan2 data.resolution=16 model.width=4 model.generator.mapping=2",
        "loss=vanilla penalty=[r1] loss.penalties.r1.every=16",
        TODAYS,
    ),
    "r3gan": Model("model=r3gan model.width=8", "loss=rpgan_r1_r2", TODAYS),
    "mlp_plane": Model("data=gaussians model.width=8", meant=EVERY),
    "printed_codes": Model(
        "data=printed_codes data.resolution=24 data.items.train=40 model=printed_codes"
        " model.width=4 penalty=[falsification] augmentation=turns"
    ),
    "ctgan": Model(
        f"data=table data.path={PEOPLE} model.width=8 model.pack=2",
        "loss=wgan_gp loss.critic_steps=1",
        TODAYS,
    ),
    "mlp_table": Model(f"data=table data.path={PEOPLE} model=mlp_table model.width=8", meant=EVERY),
    "mixture_plane": Model("data=gaussians model=mixture_plane model.width=4 model.experts=2"),
    # Parts of the losses, the discriminator or the generator, with a model of their papers.
    "acgan": Model("model=dcgan model.width=4 head=acgan"),
    "projection": Model("model=resnet model.width=2 head=projection", "loss=hinge"),
    "semi_supervised": Model(
        "model=dcgan model.width=4 head=semi_supervised", "loss=feature_matching"
    ),
    "self_supervised": Model("model=dcgan model.width=4 head=self_supervised"),
    "minibatch_discrimination": Model("model=dcgan model.width=4 head=minibatch_discrimination"),
    "auxiliaries": Model(
        "model=dcgan model.width=4 auxiliary=[feature_matching,historical_averaging]"
    ),
    "virtual_batch_norm": Model(
        "model=dcgan model.width=4 conversion=[virtual_batch_norm]"
        " model.conversions.virtual_batch_norm.size=4"
    ),
    "ada": Model("model=dcgan model.width=4 augmentation=ada augmentation.images=80"),
    "balanced_consistency": Model("model=dcgan model.width=4 penalty=[balanced_consistency]"),
    "top_k": Model(
        "model=dcgan model.width=4 selection=top_k loss.selection.decay=0.5 loss.selection.epoch=40"
    ),
}
# Each process draws for itself: dropout, noise and mixed styles; or judges its own samples as one.
BY_PROCESS = ("article", "mlp", "ctgan", "stylegan2", "minibatch_discrimination")
PAIRS = [
    (name, loss)
    for name, model in MODELS.items()
    for loss in model.meant
    if f"loss={loss}" not in model.own.split()
]

Train = Callable[..., Path]


def test_every_part_is_here() -> None:
    def parts(group: str) -> set[str]:
        return {path.stem for path in (CONF / group).glob("*.yaml")}

    assert parts("loss") == {*EVERY, "feature_matching"}  # the last one with semi_supervised
    assert parts("head") - {"logit", "codes"} <= MODELS.keys()  # which models have by default
    for group in ("model", "conversion", "selection"):
        assert parts(group) <= MODELS.keys()


def composed(*words: str, verb: str = "train") -> DictConfig:
    """The settings of a verb, as the command line composes them."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(verb, overrides=" ".join(words).split())


def play(*words: str, iterations: int = ITERATIONS) -> GAN:
    """Trains, and writes nothing."""
    settings = composed(TINY, *words)
    settings.images = iterations * settings.batch_size * settings.loss.critic_steps
    samples = training_split(settings, None)
    gan = build(settings)
    data = Data(
        samples,
        batch_size=settings.batch_size,
        critic_steps=settings.loss.critic_steps,
        seed=settings.seed,
        budget=settings.images,
        memory_format=memory_format(settings),
    )
    trainer = instantiate(
        of_lightning(settings),
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[Checkpoints()],
    )
    trainer.fit(gan, datamodule=data)
    assert gan.images == settings.images
    return gan


def assert_learned(gan: GAN) -> None:
    """All that training came to is finite, and every parameter has had a gradient other than 0."""
    for name, value in gan.state_dict().items():
        assert value.isfinite().all(), name
    for network, optimizer in zip(
        (gan.generator, gan.discriminator), gan.trainer.optimizers, strict=True
    ):
        for name, parameter in network.named_parameters():
            if name.endswith("logit.bias"):
                continue  # real and fake samples pull it alike, where a loss sees differences
            # Adam's moments and RMSprop's average, which a first gradient moves away from 0.
            state = optimizer.state[parameter].items()
            moments = [value for key, value in state if key != "step"]
            assert any(value.any() for value in moments), f"{type(network).__module__}: {name}"


@pytest.mark.parametrize("name", MODELS)
def test_its_papers_loss_trains_it_and_a_run_goes_on_samples_and_is_exported(
    train: Train, tmp_path: Path, name: str
) -> None:
    words = [TINY, MODELS[name].words, MODELS[name].own]
    unbroken = play(*words)
    assert_learned(unbroken)

    half, whole = (f"images={unbroken.images // share}" for share in (2, 1))
    run = train(*" ".join(words).split(), half)
    assert train(f"resume={run}", whole) == run
    resumed = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for key, value in unbroken.state_dict().items():
        assert torch.equal(resumed[key], value), key

    made = touchstone.load(run).sample(5, seed=1)
    kept = Trained(unbroken.average.network.eval()).sample(5, seed=1)
    # In training the weights are channels last in memory, and in a file they are not.
    torch.testing.assert_close(made, kept, rtol=1e-4, atol=1e-5)
    file = tmp_path / "generator.safetensors"
    export(composed(f"run={run} to={file}", verb="export"))
    assert torch.equal(made, touchstone.load(file).sample(5, seed=1))
    if made.ndim == 4:  # `touchstone sample` makes images
        array = tmp_path / "samples.npz"
        sample(composed(f"run={run} n=5 seed=1 format=npz to={array}", verb="sample"))
        with numpy.load(array) as samples:
            assert (samples["samples"] == quantize(made).permute(0, 2, 3, 1).numpy()).all()


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_trains_it(name: str) -> None:
    assert_learned(play(MODELS[name].words, MODELS[name].own, "trainer.precision=bf16-mixed"))


@pytest.mark.parametrize(("name", "loss"), PAIRS)
def test_every_loss_that_it_is_meant_for_trains_it(name: str, loss: str) -> None:
    # One critic step, for time; several are in the papers' own losses and in test_gan.py.
    words = (MODELS[name].words, f"loss={loss}", "loss.critic_steps=1")
    assert_learned(play(*words))


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    for name in MODELS:
        gan = play_together(name, "trainer=ddp trainer.devices=2")
        torch.save(gan.state_dict(), folder / f"{name}{os.environ['LOCAL_RANK']}.pt")


def play_together(name: str, *words: str) -> GAN:
    """Trains for a few iterations of 8 images, whatever processes share them."""
    # Of gradients that are 0 but for rounding, Adam's own epsilon would make whole steps.
    rounded = "+optimizer.generator.eps=1e-3 +optimizer.discriminator.eps=1e-3"
    shared = "batch_size=8 trainer.sync_batchnorm=true"
    return play(MODELS[name].words, MODELS[name].own, rounded, shared, *words, iterations=2)


def test_two_processes_train_each_as_one_does(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(tmp_path)],
            env=os.environ | shared | {"LOCAL_RANK": str(number), "NODE_RANK": "0"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in started:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said

    for name in MODELS:
        both = (torch.load(tmp_path / f"{name}{rank}.pt", weights_only=True) for rank in (0, 1))
        first, second = both
        for key, value in first.items():
            assert value.isfinite().all(), f"{name}: {key}"
            assert torch.equal(value, second[key]), f"{name}: {key}"
        alone = {} if name in BY_PROCESS else play_together(name).state_dict()
        for key, value in alone.items():
            torch.testing.assert_close(
                first[key], value, rtol=1e-4, atol=3e-6, msg=f"{name}: {key}"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
