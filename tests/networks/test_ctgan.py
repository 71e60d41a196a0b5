import math

import pytest
import torch

from touchstone.networks.ctgan import Blocks, Discriminator, Generator, gumbel

# A number of 3 modes, a category of 4 values, one of 2: 1 + 3 + 4 + 2 = 10 numbers a row.
LAYOUT = [("number", 3), ("category", 4), ("category", 2)]
SHARES = [0.1, 0.1, 0.1, 0.2, 0.4, 0.1]  # of the 6 conditions


def parameters(network: torch.nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


def test_the_generator_has_the_papers_layers() -> None:
    # Section 4.4: z of 128 with the condition of 6; each layer of 256 is added to its input.
    # 134 x 256 + 256 = 34,560, batch norm 512; 390 x 256 + 256 = 100,096, batch norm 512;
    # 646 x 10 + 10 = 6,470. Together 142,150.
    generator = Generator(128, LAYOUT, SHARES)
    assert parameters(generator) == 142_150
    # z, a Gumbel variable for each of 3 + 4 + 2 choices, and the condition's.
    assert generator.latent_size == 128 + 9 + 1


def test_the_discriminator_has_the_papers_layers() -> None:
    # Ten rows of 10 with conditions of 6: 160 x 256 + 256 = 41,216; 256 x 256 + 256 = 65,792;
    # 256 + 1 = 257. Together 107,265.
    assert parameters(Discriminator(LAYOUT, conditional=True)) == 107_265


def test_rows_are_blocks_of_scalars_and_choices() -> None:
    generator = Generator(4, LAYOUT, SHARES, width=8)
    rows = generator(torch.randn(64, generator.latent_size))
    assert rows.shape == (64, 10)
    assert rows[:, 0].abs().max() <= 1
    for start, stop in ((1, 4), (4, 8), (8, 10)):
        torch.testing.assert_close(rows[:, start:stop].sum(dim=1), torch.ones(64))
    assert rows[:, 1:].min() >= 0


def test_choices_are_as_likely_as_their_softmax() -> None:
    # The largest of logits with Gumbel noise is k with probability softmax(logits)_k.
    logits = torch.tensor([0.0, math.log(2), math.log(5)])  # 1/8, 2/8, 5/8
    noise = gumbel(torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0)))
    chosen = Blocks([("category", 3)])(logits.expand(200_000, 3), noise).argmax(dim=1)
    shares = chosen.bincount(minlength=3) / 200_000
    # Three deviations: 3 sqrt(p (1 - p) / 200,000) is 0.0033 at most.
    torch.testing.assert_close(shares, torch.tensor([0.125, 0.25, 0.625]), atol=0.0033, rtol=0)


def test_gumbel_noise_is_standard() -> None:
    # The median is -log(log 2), and the noise finite wherever a normal number can be.
    assert gumbel(torch.zeros(1)).item() == pytest.approx(-math.log(math.log(2)), abs=1e-6)
    assert gumbel(torch.tensor([-8.0, 8.0])).isfinite().all()
    noise = gumbel(torch.randn(200_000, generator=torch.Generator().manual_seed(1)).double())
    # Mean 0.5772 and deviation pi / sqrt(6) = 1.2825, of whose mean 3 deviations are 0.0086.
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.0086)


def test_logits_follow_from_rows_and_their_noise() -> None:
    generator = Generator(4, LAYOUT, SHARES, width=8)
    told = torch.tensor([0.5, -1.0, 0.0, 2.0, 0.0, 0.1, 0.2, 0.3, 1.0, -1.0])
    latents = torch.randn(32, generator.latent_size)
    rows = generator.blocks(told.expand(32, -1), generator.gumbel_noise(latents))
    found = torch.split(generator.logits(rows, latents), [3, 4, 2], dim=1)
    for choice, expected in zip(found, torch.split(told[1:], [3, 4, 2]), strict=True):
        expected = expected.log_softmax(dim=0).expand_as(choice)
        torch.testing.assert_close(choice.log_softmax(dim=1), expected, atol=1e-4, rtol=0)


def test_conditions_that_nobody_asked_for_are_as_frequent_as_in_the_data() -> None:
    generator = Generator(4, LAYOUT, SHARES, width=8)
    normal = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    shares = generator.drawn(normal).bincount(minlength=6) / 200_000
    torch.testing.assert_close(shares, torch.tensor(SHARES), atol=0.0033, rtol=0)


def test_a_row_is_a_function_of_its_latent_and_its_condition() -> None:
    generator = Generator(4, LAYOUT, SHARES, width=8).eval()
    latents = torch.randn(6, generator.latent_size)
    asked = torch.tensor([0, 1, 2, 3, 4, 5])
    rows = generator(latents, asked)
    torch.testing.assert_close(rows[2:4], generator(latents[2:4], asked[2:4]))
    torch.testing.assert_close(
        generator(latents), generator(latents, generator.drawn(latents[:, -1]))
    )
    assert not torch.equal(rows, generator(latents, asked.flip(0)))


def test_packs_are_judged_as_one() -> None:
    discriminator = Discriminator(LAYOUT, conditional=True, pack=5, width=8, dropout=0.0)
    rows, conditions = torch.rand(20, 10), torch.arange(20) % 6
    logits = discriminator(rows, conditions)
    assert logits.shape == (4,)
    changed = rows.clone()
    changed[7] += 1  # of the second pack
    differs = discriminator(changed, conditions) != logits
    assert differs.tolist() == [False, True, False, False]
    assert not torch.equal(logits, discriminator(rows, conditions.flip(0)))
    assert discriminator.mixes_samples
    assert not Discriminator(LAYOUT, pack=1).mixes_samples


def test_a_pack_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.pack=0"):
        Discriminator(LAYOUT, pack=0)
