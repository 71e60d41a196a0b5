"""The step: what it does, shows, resumes and refuses."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from touchstone.augmentations import InstanceNoise
from touchstone.data.images import Images
from touchstone.data.module import Data
from touchstone.gan import GAN
from touchstone.losses import Hinge, Relativistic, RelativisticAverage, Vanilla, Wasserstein
from touchstone.networks import dcgan
from touchstone.schedules import Linear
from touchstone.terms import Creation, Critique, Term
from touchstone.terms.feature_matching import FeatureMatching
from touchstone.terms.penalties import R1, GradientPenalty, LeCam, WeightClipping
from touchstone.tracking.checkpoints import Checkpoints


class Line(nn.Module):
    """A generator or discriminator of one weight a number: what a step does can be worked out."""

    latent_size = 2

    def __init__(self, weight: list[float], out: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.out = out

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        product = samples * self.weight
        return product.sum(1) if self.out else product


def sgd(lr: float) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)


def game(loss: Any = None, **settings: Any) -> GAN:
    settings.setdefault("optimizers", {"generator": sgd(0.1), "discriminator": sgd(0.1)})
    discriminator = settings.pop("discriminator", Line([0.5, -0.5], out=True))
    return GAN(Line([1.0, 2.0]), discriminator, loss or Wasserstein(), budget=64, **settings)


class Given:
    """Stretches of batches, as a loader gives them."""

    def __init__(self, stretches: list[list[tuple[Tensor, Tensor | None]]]) -> None:
        self.stretches = stretches

    def __iter__(self) -> Any:
        return iter(self.stretches)

    def __len__(self) -> int:
        return len(self.stretches)


def weight(network: nn.Module) -> Tensor:
    return network.get_parameter("weight").data


def made(**options: Any) -> Trainer:
    """A trainer on the CPU that says and writes nothing."""
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def play(gan: GAN, samples: Tensor, iterations: int = 1, labels: Tensor | None = None) -> Trainer:
    trainer = made(plugins=[Checkpoints()])
    trainer.fit(gan, Given([[(samples, labels)]] * iterations))
    return trainer


def test_one_iteration_by_hand() -> None:
    """Wasserstein: the discriminator's gradient is E fake - E real, the generator's -E w z."""
    gan = game()
    latents: list[Tensor] = []
    gan.generator.register_forward_pre_hook(lambda _, given: latents.append(given[0]))
    real = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
    play(gan, real)

    (z,) = latents  # one draw and one pass serve both updates
    fake = z * torch.tensor([1.0, 2.0])
    discriminator = torch.tensor([0.5, -0.5]) - 0.1 * (fake.mean(0) - real.mean(0))
    generator = torch.tensor([1.0, 2.0]) + 0.1 * (discriminator * z).mean(0)
    torch.testing.assert_close(weight(gan.discriminator), discriminator)
    torch.testing.assert_close(weight(gan.generator), generator)
    assert gan.images == 2
    # At the start the average takes the network as it is.
    torch.testing.assert_close(weight(gan.average.network), generator)


def test_an_iteration_has_critic_steps_and_one_generator_step() -> None:
    gan = game(critic_steps=3)
    steps = {"generator": 0, "discriminator": 0}

    def count(name: str) -> Callable[[Any], torch.optim.Optimizer]:
        def make(parameters: Any) -> torch.optim.Optimizer:
            optimizer = torch.optim.SGD(parameters, lr=0.1)
            optimizer.register_step_post_hook(lambda *_: steps.update({name: steps[name] + 1}))
            return optimizer

        return make

    gan._optimizer_factories = {name: count(name) for name in steps}
    play(gan, torch.randn(12, 2), iterations=2)
    assert steps == {"generator": 2, "discriminator": 6}
    assert gan.images == 24


def test_the_other_networks_gradients_are_not_computed() -> None:
    gan = game()
    seen: list[tuple[bool, Tensor]] = []

    def make(parameters: Any) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        optimizer.register_step_pre_hook(lambda *_: seen.append(gradients()))
        return optimizer

    def gradients() -> tuple[bool, Tensor]:
        gradient = gan.discriminator.get_parameter("weight").grad
        assert gradient is not None
        return gan.generator.get_parameter("weight").grad is None, gradient.clone()

    gan._optimizer_factories = dict.fromkeys(("generator", "discriminator"), make)
    play(gan, torch.randn(4, 2))
    # The discriminator's step leaves the generator alone, and the generator's the discriminator.
    (first, before), (second, after) = seen
    assert (first, second) == (True, False)
    assert torch.equal(before, after)
    assert gan.discriminator.get_parameter("weight").requires_grad


def test_the_constraint_holds_after_each_step() -> None:
    gan = game(constraint=WeightClipping(0.01))
    play(gan, 50 * torch.ones(4, 2))
    torch.testing.assert_close(weight(gan.discriminator).abs(), torch.tensor([0.01, 0.01]))


def test_the_schedule_sets_both_rates_by_the_images_before_the_iteration() -> None:
    gan = game(schedule=Linear())
    play(gan, torch.randn(16, 2), iterations=2)
    rates = [o.param_groups[0]["lr"] for o in gan.optimizers()]  # type: ignore[union-attr]
    assert rates == [pytest.approx(0.1 * (1 - 16 / 64))] * 2


def test_gradients_are_clipped_to_their_norm() -> None:
    gan = game(gradient_clip=0.01)
    play(gan, 5 * torch.ones(4, 2))
    moved = weight(gan.discriminator) - torch.tensor([0.5, -0.5])
    assert float(moved.norm()) == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_a_lazy_penalty_is_applied_every_so_many_updates() -> None:
    applied: list[int] = []
    constrained: list[int] = []  # once an update

    class Counting(R1):
        def discriminator(self, critique: Critique) -> Tensor:
            applied.append(len(constrained))
            return super().discriminator(critique)

    penalty = Counting(weight=1.0, every=3)
    constraint = lambda _: constrained.append(1)  # noqa: E731
    gan = game(terms={"r1": penalty}, critic_steps=2, constraint=constraint)
    play(gan, torch.randn(8, 2), iterations=4)
    assert applied == [0, 3, 6]


@pytest.mark.parametrize(("normalization", "passes"), [("none", 2), ("batch", 3)])
def test_real_and_fake_are_judged_together_unless_statistics_forbid_it(
    normalization: str, passes: int
) -> None:
    discriminator = dcgan.Discriminator(16, 1, 4, normalization)
    gan = GAN(
        dcgan.Generator(8, 16, 1, 4),
        discriminator,
        Vanilla(),
        optimizers={"generator": sgd(0.1), "discriminator": sgd(0.1)},
    )
    sizes: list[int] = []
    discriminator.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    play(gan, torch.randn(4, 1, 16, 16))
    assert len(sizes) == passes
    assert sum(sizes) == 12


def test_a_per_sample_penalty_and_batch_statistics_are_refused() -> None:
    with pytest.raises(ValueError, match=r"penalty gradient_penalty .* batch normalization"):
        GAN(
            dcgan.Generator(8, 16, 1, 4),
            dcgan.Discriminator(16, 1, 4, "batch"),
            Wasserstein(),
            optimizers={},
            terms={"gradient_penalty": GradientPenalty(10.0)},
        )


def test_noise_is_a_function_of_seed_and_images() -> None:
    """Iterations 3 and 4 after a restart equal those of a run that went through, bit for bit."""

    def fresh() -> GAN:
        torch.manual_seed(0)
        adam = dict.fromkeys(("generator", "discriminator"), torch.optim.Adam)
        return game(
            Relativistic(),
            optimizers=adam,
            terms={"lecam": LeCam(0.1), "gradient": GradientPenalty(1.0)},
            augmentation=InstanceNoise(0.3),
            discriminator=nn.Sequential(),
        )

    class Judge(Line):
        """Draws from the global generator, as dropout does."""

        def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
            return super().forward(nn.functional.dropout(samples, 0.5, self.training), labels)

    def make() -> GAN:
        gan = fresh()
        gan.discriminator = Judge([0.5, -0.5], out=True)
        return gan

    rows = torch.randn(16, 2)
    whole = make()
    play(whole, rows, iterations=4)
    first = make()
    trainer = play(first, rows, iterations=2)
    checkpoint = copy.deepcopy(trainer._checkpoint_connector.dump_checkpoint())
    assert "loops" not in checkpoint

    torch.rand(3)  # the state of the global generator plays no part
    second = make()
    second.load_state_dict(checkpoint["state_dict"])
    second.on_load_checkpoint(checkpoint)
    second.configure_optimizers, configure = (  # type: ignore[method-assign]
        lambda: [
            restore(optimizer, state)
            for optimizer, state in zip(configure(), checkpoint["optimizer_states"], strict=True)
        ],
        second.configure_optimizers,
    )
    play(second, rows, iterations=2)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def restore(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> torch.optim.Optimizer:
    optimizer.load_state_dict(state)
    return optimizer


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains(train: Callable[..., Path], precision: str) -> None:
    words = ["loss=wgan_gp", "model.width=8", "batch_size=8", "images=80", "gradient_clip=10"]
    if precision == "16-mixed" and not torch.cuda.is_available():
        pytest.skip("fp16 with a gradient scaler needs a GPU")
    train(f"trainer.precision={precision}", *words)


def test_labels_reach_both_networks(composed: Callable[..., DictConfig]) -> None:
    seen: list[tuple[str, list[int]]] = []

    class Labelled(Line):
        def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
            assert labels is not None
            seen.append(("D" if self.out else "G", labels.tolist()))
            return super().forward(samples)

    gan = GAN(
        Labelled([1.0, 1.0]),
        Labelled([1.0, 1.0], out=True),
        Hinge(),
        optimizers={"generator": sgd(0.1), "discriminator": sgd(0.1)},
        critic_steps=2,
    )
    play(gan, torch.randn(4, 2), labels=torch.arange(4))
    assert seen == [
        ("G", [0, 1]),
        ("D", [0, 1, 0, 1]),
        ("G", [2, 3]),
        ("D", [2, 3, 2, 3]),
        ("D", [2, 3]),
    ]


def test_data_begins_where_the_run_stands() -> None:
    images = Images(torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1), None, ())
    shown: list[Tensor] = []
    for start in (0, 8):
        gan = game()
        gan.images = start
        data = Data(images, batch_size=4, critic_steps=1, seed=1, budget=16)
        trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        trainer.strategy.connect(gan)
        data.trainer = trainer
        stretches = data.train_dataloader()
        shown.append(torch.cat([batch for one in stretches for batch, _ in one]).flatten())
    assert torch.equal(shown[0][8:], shown[1])
    assert len(shown[1]) == 8


def test_a_stretch_ends_where_a_callback_has_its_turn() -> None:
    class Turn(Callback):
        every = 12

        def __init__(self) -> None:
            self.at: list[int] = []

        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            self.at.append(module.images)

    turn, gan = Turn(), game()
    samples = (torch.randn(4, 2), None)
    # What is left of a stretch is left; here each begins anew with the same list.
    made(callbacks=[turn]).fit(
        gan, Given([[samples] * 5, [samples] * 2, [samples] * 2, [samples] * 9])
    )
    assert turn.at == [12, 20, 24, 36]


@pytest.mark.parametrize(("micro_batch", "critic_steps"), [(4, 1), (2, 3), (8, 2)])
def test_micro_batches_give_the_update_of_their_whole(micro_batch: int, critic_steps: int) -> None:
    def split(size: int | None) -> GAN:
        return game(
            Relativistic(),
            terms={"gradient": GradientPenalty(1.0), "r1": R1(1.0, every=2)},
            augmentation=InstanceNoise(0.3),
            critic_steps=critic_steps,
            micro_batch=size,
            gradient_clip=0.5,
        )

    rows = torch.randn(8 * critic_steps, 2)
    whole, parts = split(None), split(micro_batch)
    passes: list[int] = []
    parts.generator.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
    play(whole, rows, iterations=3)
    play(parts, rows, iterations=3)
    assert set(passes) == {micro_batch}
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    "settings",
    [{"loss": RelativisticAverage()}, {"terms": {"lecam": LeCam(0.1)}}],
    ids=["loss", "penalty"],
)
def test_what_looks_at_the_whole_batch_is_not_split(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"micro_batch: (RelativisticAverage|lecam) has to see"):
        game(micro_batch=4, **settings)


def test_an_update_under_autocast_sees_the_weights_of_the_one_before() -> None:
    """Autocast could keep weights in half precision, which a step of the optimizer changes."""

    class Judge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1, bias=False)
            self.seen: list[tuple[float, float]] = []

        def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
            logits: Tensor = self.layer(samples).squeeze(1)
            ones = self.layer(torch.ones(1, 2))  # by the weights that the pass goes by
            self.seen.append((float(ones), float(self.layer.weight.sum())))
            return logits

    judge = Judge()
    gan = game(discriminator=judge, critic_steps=3)
    batch = (10 * torch.ones(12, 2), None)
    made(precision="bf16-mixed").fit(gan, Given([[batch, batch]]))
    used, weights = zip(*judge.seen, strict=True)
    assert max(weights) - min(weights) > 1  # the steps are large
    assert used == pytest.approx(weights, rel=0.02)


def test_compiled_networks_train_as_written_ones(train: Callable[..., Path]) -> None:
    """What the penalty differentiates twice stays as it is written, by itself."""
    words = ["loss=wgan_gp", "model=resnet", "model.width=2", "data=digits", "batch_size=4"]
    states = []
    for compiled in ("false", "true"):
        run = train(*words, "images=80", "optimizer.lr=1e-3", f"trainer.compile={compiled}")
        content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        states.append(content["state_dict"])
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-5, msg=name)


class Counted(Term):
    """A term of both players, the sum of its weights; remembers when it was applied."""

    def __init__(self, weight: float, every: int = 1) -> None:
        super().__init__(weight, every)
        self.applied: list[str] = []

    def discriminator(self, critique: Critique) -> Tensor:
        self.applied.append("discriminator")
        return critique.networks[1].get_parameter("weight").sum()

    def generator(self, creation: Creation) -> Tensor:
        self.applied.append("generator")
        return creation.networks[0].get_parameter("weight").sum()


def test_a_term_adds_its_weight_to_both_players_losses() -> None:
    real = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
    plain, termed = game(), game(terms={"counted": Counted(0.25)})
    for gan in (plain, termed):
        play(gan, real)
    # The gradient of 0.25 (w_0 + w_1) is 0.25; the learning rate is 0.1.
    moved = weight(plain.discriminator) - 0.1 * 0.25
    torch.testing.assert_close(weight(termed.discriminator), moved)
    # The generator's gradient is -E w z beside it, w being the discriminator's after its step.
    start = torch.tensor([1.0, 2.0])
    by_loss = (weight(plain.generator) - start) / weight(plain.discriminator) * moved
    torch.testing.assert_close(weight(termed.generator), start + by_loss - 0.1 * 0.25)


def test_each_player_counts_its_own_updates() -> None:
    term = Counted(1.0, every=3)
    play(game(terms={"counted": term}, critic_steps=2), torch.randn(8, 2), iterations=4)
    # The discriminator's updates 0, 3 and 6 of 8; the generator's 0 and 3 of 4.
    player = {"discriminator": 3, "generator": 2}
    assert {name: term.applied.count(name) for name in player} == player
    assert term.applied[:3] == ["discriminator", "generator", "discriminator"]


class Verbose(Line):
    """A discriminator with features, the samples themselves; counts how often it is asked."""

    asked = 0

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        self.asked += 1
        return {"logits": (samples * self.weight).sum(1), "features": samples}

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        raise AssertionError("the verdict holds the logits")


def test_a_verdict_is_asked_for_once_an_update() -> None:
    judge = Verbose([0.5, -0.5], out=True)
    gan = game(discriminator=judge, terms={"matching": FeatureMatching(0.5)})
    latents: list[Tensor] = []
    gan.generator.register_forward_pre_hook(lambda _, given: latents.append(given[0]))
    real = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
    play(gan, real)
    # Both kinds together in the discriminator's update, one after the other in the generator's.
    assert judge.asked == 3

    # The gradient of 0.5 |E x - E w z|^2 is -(E x - E w z) E z.
    (z,), start = latents, torch.tensor([1.0, 2.0])
    by_loss = 0.1 * (weight(judge) * z).mean(0)
    matching = 0.1 * (real.mean(0) - start * z.mean(0)) * z.mean(0)
    torch.testing.assert_close(weight(gan.generator), start + by_loss + matching)


def test_a_term_that_needs_more_than_logits_says_so() -> None:
    with pytest.raises(ValueError, match=r"matching asks for more .* `examine`"):
        game(terms={"matching": FeatureMatching(1.0)})


class Growing(Line):
    """Remembers what it is told of the clock."""

    def __init__(self, weight: list[float], out: bool = False) -> None:
        super().__init__(weight, out)
        self.told: list[int] = []

    def advance(self, images: int) -> int:
        self.told.append(images)
        return images // 8


def test_parts_are_told_the_images_before_each_iteration() -> None:
    judge = Growing([0.5, -0.5], out=True)
    gan = game(discriminator=judge)
    phases: list[Any] = []
    gan.generator.register_forward_pre_hook(lambda *_: phases.append(gan.phase))
    play(gan, torch.randn(4, 2), iterations=4)
    assert judge.told == [0, 4, 8, 12]
    assert phases == [(0,), (0,), (1,), (1,)]


def test_samples_are_judged_apart_where_a_layer_mixes_them() -> None:
    class Mixing(Line):
        mixes_samples = True

        def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
            sizes.append(len(samples))
            return super().forward(samples, labels)

    sizes: list[int] = []
    play(game(discriminator=Mixing([0.5, -0.5], out=True)), torch.randn(4, 2))
    assert sizes == [4, 4, 4]


def test_an_augmentation_observes_real_logits_and_is_shown() -> None:
    class Observing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, samples: Tensor, draws: Any, progress: Tensor) -> Tensor:
            return samples

        def observe(self, real_logits: Tensor) -> None:
            assert not real_logits.requires_grad
            self.seen = real_logits.sum()

        def shown(self) -> dict[str, Tensor]:
            return {"augmentation/seen": self.seen}

    augmentation, shown = Observing(), dict[str, Tensor]()

    class Watch(Callback):
        def on_iteration_end(self, module: GAN, seen: dict[str, Tensor]) -> None:
            shown.update(seen)

    gan = game(augmentation=augmentation)
    made(plugins=[Checkpoints()], callbacks=[Watch()]).fit(
        gan, Given([[(torch.tensor([[1.0, 0.0], [3.0, 2.0]]), None)]])
    )
    # 0.5 - 0 and 1.5 - 1
    assert float(shown["augmentation/seen"]) == 1.0
    assert "augmentation.seen" in gan.state_dict()
    # The critic's estimate: E real - E fake.
    difference = shown["logits/real"].mean() - shown["logits/fake"].mean()
    torch.testing.assert_close(shown["wasserstein_distance"], difference)
