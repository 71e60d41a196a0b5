"""A game that is played privately."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from touchstone.data.module import Data
from touchstone.data.points import Points
from touchstone.draws import Draws
from touchstone.gan import GAN
from touchstone.losses import Loss, Vanilla, Wasserstein
from touchstone.networks import mlp
from touchstone.privacy.mechanism import Mechanism
from touchstone.privacy.records import Records, Withheld
from touchstone.privacy.secret import Secret
from touchstone.privacy.updates import Private
from touchstone.terms.penalties import GradientPenalty, WeightClipping
from touchstone.tracking.checkpoints import Checkpoints

BATCH, STEPS, RECORDS = 8, 3, 40
SECRET = Secret(bytes(range(32)))


class Line(nn.Module):
    """Gives the logit `w x`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, -0.5]))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        return samples @ self.weight


def sgd(weights: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(weights, lr=0.1)


def points(value: float | None = None) -> Points:
    values = torch.randn(RECORDS, 2, generator=torch.Generator().manual_seed(1))
    return Points(values if value is None else torch.full_like(values, value), None, ())


def play(
    iterations: int,
    *,
    records: Points | None = None,
    noise: float = 1.0,
    clip: float = 1.0,
    rate: float = BATCH / RECORDS,
    secret: Secret = SECRET,
    discriminator: Callable[[], nn.Module] = lambda: mlp.Discriminator([2], width=4, pieces=2),
    generator: Callable[[], nn.Module] = lambda: mlp.Generator(2, [2], width=4, layers=1),
    loss: Loss | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
    **settings: Any,
) -> GAN:
    """Plays so many iterations in all, from the start or from a checkpoint."""
    torch.manual_seed(0)
    split = points() if records is None else records
    mechanism = Mechanism(clip, noise, BATCH, secret)
    gan = GAN(
        generator(),
        discriminator(),
        loss or Wasserstein(),
        optimizers={"generator": sgd, "discriminator": sgd},
        critic_steps=STEPS,
        executor=lambda game: Private(game, Records(split, rate, secret, game.device), mechanism),
        budget=10_000,
        **settings,
    )
    data = Data(
        split,
        Withheld(len(split), split.shape),
        batch_size=BATCH,
        critic_steps=STEPS,
        seed=0,
        budget=iterations * STEPS * BATCH,
    )
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[Checkpoints()],
    )
    trainer.fit(gan, datamodule=data, ckpt_path=resume, weights_only=True)
    if checkpoint is not None:
        trainer.save_checkpoint(checkpoint)
    return gan


def weights(gan: GAN) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in gan.parameters()])


def test_an_update_by_hand() -> None:
    """One record, always in the sample; Wasserstein: its gradient is that of fake - real."""
    (record,) = torch.tensor([[3.0, 4.0]])
    gan = play(
        1,
        records=Points(record[None], None, ()).take(torch.zeros(BATCH).long()),
        rate=1.0,
        noise=0.0,
        clip=1000.0,
        discriminator=Line,
    )
    assert gan.images == STEPS * BATCH
    # The eight records less fakes in [-1, 1], over eight, three times: w - 0.1 (fake - real) each.
    moved = gan.discriminator.get_parameter("weight").detach() - torch.tensor([0.5, -0.5])
    assert bool(((moved > 0.3 * (record - 1)) & (moved < 0.3 * (record + 1))).all())


def test_a_step_is_no_longer_than_clipping_lets_it() -> None:
    """Of n records the sum is no longer than n C, and is divided by the expected number."""
    gan = play(1, rate=0.999999, noise=0.0, clip=0.01, discriminator=Line)
    moved = gan.discriminator.get_parameter("weight").detach() - torch.tensor([0.5, -0.5])
    assert 0 < float(moved.norm()) <= STEPS * 0.1 * RECORDS * 0.01 / BATCH * 1.0001


@pytest.mark.parametrize("terms", [{}, {"penalty": GradientPenalty(10)}])
def test_no_records_at_all(terms: dict[str, Any]) -> None:
    """The discriminator then moves by the noise alone, which has its scale."""
    gan = play(1, rate=1e-12, noise=2.0, clip=3.0, discriminator=Line, terms=terms)
    moved = gan.discriminator.get_parameter("weight").detach() - torch.tensor([0.5, -0.5])
    drawn = torch.stack([SECRET.normal(2, "noise", update) for update in range(STEPS)])
    expected = -0.1 * 2.0 * 3.0 / BATCH * drawn.sum(0)
    torch.testing.assert_close(moved, expected.float(), rtol=1e-4, atol=1e-6)


def test_records_reach_nothing_but_their_clipped_gradients() -> None:
    """Those of records that are not finite count as 0, and all else is as if there were none."""
    games = [play(4, records=points(value)) for value in (float("nan"), float("inf"))]
    assert bool(weights(games[0]).isfinite().all())
    assert torch.equal(weights(games[0]), weights(games[1]))
    assert torch.equal(weights(games[0]), weights(play(4, rate=1e-12)))


def test_each_record_is_beside_a_fake_sample_that_is_drawn_for_it() -> None:
    """Of as many fake samples as ever, whatever the number of records: it would tell them."""
    made: list[Tensor] = []

    class Generator(mlp.Generator):
        def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
            fakes = super().forward(latents, labels)
            made.append(fakes.detach())
            return fakes

    records = Points(torch.zeros(RECORDS, 2), None, ())
    gan = play(
        1,
        records=records,
        rate=0.999999,
        noise=0.0,
        clip=1000.0,
        discriminator=Line,
        generator=lambda: Generator(2, [2], width=4, layers=1),
    )
    assert [len(fakes) for fakes in made] == [BATCH] * STEPS
    expected = torch.tensor([0.5, -0.5])
    for update, fakes in enumerate(made):
        drawn = Draws(SECRET.seed("draws", update)).uniform(RECORDS)
        expected = expected - 0.1 / BATCH * fakes[(drawn * BATCH).long()].sum(0)
    torch.testing.assert_close(gan.discriminator.get_parameter("weight").detach(), expected)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_comes_from_the_secret(dropout: float) -> None:
    """Of what else does, the noise is none, all records are there, and fakes do not count."""

    class RealAlone(Wasserstein):
        def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
            return -real_logits.mean()

    def discriminator() -> nn.Module:
        return mlp.Discriminator([2], width=4, pieces=2, input_dropout=0, dropout=dropout)

    games = [
        play(
            1,
            secret=secret,
            rate=0.999999,
            noise=0.0,
            discriminator=discriminator,
            loss=RealAlone(),
        )
        for secret in (SECRET, Secret(bytes(32)))
    ]
    first, second = (torch.cat([w.flatten() for w in g.discriminator.parameters()]) for g in games)
    assert torch.equal(first, second) is (dropout == 0)


def test_what_is_shown_tells_nothing_of_the_records() -> None:
    seen: dict[str, Tensor] = {}

    gan = play(1, loss=Vanilla(), gradient_clip=1.0)
    gan._watching = [
        type("Watch", (), {"on_iteration_end": lambda _, game, one: seen.update(one)})()
    ]
    gan._updates(((),) * (STEPS + 1), torch.zeros(STEPS * BATCH, 2), None)
    assert set(seen) == {
        "loss/generator",
        "gradient_norm/generator",
        "gradient_norm/discriminator",  # of the noised one
    }


def test_a_run_that_goes_on_is_the_same(tmp_path: Path) -> None:
    whole = play(6)
    play(2, checkpoint=tmp_path / "two.ckpt")
    rest = play(6, resume=tmp_path / "two.ckpt")
    assert torch.equal(weights(whole), weights(rest))
    assert torch.equal(weights(whole), weights(play(6)))
    assert not torch.equal(weights(whole), weights(play(6, secret=Secret(bytes(32)))))


def test_chunks_add_up() -> None:
    def without_dropout() -> nn.Module:
        return mlp.Discriminator([2], width=4, pieces=2, input_dropout=0, dropout=0)

    whole = play(1, discriminator=without_dropout, rate=0.9)
    chunks = play(1, discriminator=without_dropout, rate=0.9, micro_batch=8)
    torch.testing.assert_close(weights(whole), weights(chunks), rtol=1e-5, atol=1e-6)


def test_the_constraint_holds() -> None:
    gan = play(2, constraint=WeightClipping(0.01))
    assert (
        float(torch.cat([w.detach().flatten() for w in gan.discriminator.parameters()]).abs().max())
        <= 0.01
    )
