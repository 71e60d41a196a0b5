import pytest
import torch
from torch import Tensor, nn

from touchstone.data.images import quantize
from touchstone.errors import UsageError
from touchstone.networks.dcgan import Generator
from touchstone.sampling import CHUNK, Sampler, labels, latents, sampled_chunk, samples


class Echo(nn.Module):
    """Shows the latents themselves, and what it was called with."""

    latent_size = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.calls: list[tuple[int, bool]] = []

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        self.calls.append((len(latents), self.training))
        return latents * self.scale


def test_the_first_latents_are_the_same_for_any_number() -> None:
    many = latents(3 * CHUNK, 5, seed=1)

    assert many.shape == (750, 5)
    for number in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 7):
        assert torch.equal(latents(number, 5, seed=1), many[:number])


def test_latents_differ_by_seed_and_do_not_repeat() -> None:
    drawn = torch.cat([latents(2 * CHUNK, 2, seed=0), latents(2 * CHUNK, 2, seed=1)])

    assert len({tuple(row) for row in drawn.tolist()}) == 4 * CHUNK
    assert drawn.mean().item() == pytest.approx(0, abs=5 / 2000**0.5)
    assert drawn.std().item() == pytest.approx(1, abs=5 / 4000**0.5)


def test_samples_come_in_batches_from_the_generator_in_eval_mode() -> None:
    generator = Echo()
    batches = list(samples(generator, 600, seed=4))

    assert [len(batch) for batch in batches] == [250, 250, 100]
    assert generator.calls == [(250, False), (250, False), (100, False)]
    assert torch.equal(torch.cat(batches), 2 * latents(600, 3, seed=4))
    assert not any(batch.requires_grad for batch in batches)


@pytest.mark.parametrize("training", [True, False])
def test_the_generators_mode_is_put_back_even_if_the_rest_is_not_wanted(training: bool) -> None:
    generator = Echo().train(training)
    made = samples(generator, 600, seed=4)
    next(made)
    assert not torch.is_inference_mode_enabled()
    made.close()  # type: ignore[attr-defined]

    assert generator.training is training
    assert len(generator.calls) == 1


def test_any_batch_can_be_had_by_itself() -> None:
    whole = list(samples(Echo(), 600, seed=4))
    for chunk in (2, 0, 1):
        assert torch.equal(sampled_chunk(Echo(), 600, chunk, seed=4), whole[chunk])


def test_a_conditional_generator_is_given_every_class_in_turn() -> None:
    class Labelled(Echo):
        classes = 3

        def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
            assert labels is not None
            return labels

    assert torch.cat(list(samples(Labelled(), 300, seed=0))).tolist() == [0, 1, 2] * 100
    assert torch.equal(labels(300, 3), torch.tensor([0, 1, 2] * 100))


def test_a_networks_first_samples_are_the_same_for_any_number() -> None:
    torch.manual_seed(0)
    generator = Generator(latent_size=100, resolution=32, channels=3, width=8)
    many = torch.cat(list(samples(generator, 300, seed=0)))

    for number in (1, 9, 64, 250):
        few = torch.cat(list(samples(generator, number, seed=0)))
        # A convolution of another batch size may round otherwise.
        assert torch.allclose(few, many[:number], rtol=0, atol=1e-6)
        levels = quantize(few).int() - quantize(many[:number]).int()
        assert levels.abs().max() <= 1


def test_a_number_always_names_the_same_sample() -> None:
    sampler = Sampler(Echo(), seed=4)
    many = torch.cat(list(samples(Echo(), 600, seed=4)))
    numbers = [599, 3, 250, 3, 249]
    assert torch.equal(sampler.of(numbers), many[numbers])
    assert sampler.labels(numbers) is None
    assert torch.equal(sampler(latents(600, 3, seed=4)), many)


def test_classes_that_are_asked_for_come_in_turn() -> None:
    class Labelled(Echo):
        classes = 5

    assert Sampler(Labelled(), 0, (3, 0)).labels(range(5)).tolist() == [3, 0, 3, 0, 3]  # type: ignore[union-attr]
    assert Sampler(Labelled(), 0).labels([0, 4, 7]).tolist() == [0, 4, 2]  # type: ignore[union-attr]
    for wrong in (5, -1, True):
        with pytest.raises(UsageError, match=r"labels=.*the generator knows classes 0 to 4"):
            Sampler(Labelled(), 0, (wrong,))
    with pytest.raises(UsageError, match=r"labels=\[1\]: the generator knows no classes"):
        Sampler(Echo(), 0, (1,))
