import torch

from touchstone.networks import codes


def test_worked_out_by_hand() -> None:
    # The second of (0, 2, 1) is the largest; Phi(0) = 1/2 gives 0, Phi(1) = 0.84134 gives 0.68269.
    latents = torch.tensor([[0.0, 2.0, 1.0, 0.0, 1.0, 5.0]])
    category, continuous = codes.of(latents, categories=3, continuous=2)
    assert category.tolist() == [1]
    torch.testing.assert_close(continuous, torch.tensor([[0.0, 0.6826895]]))
    inputs = codes.inputs_of(latents, categories=3, continuous=2)
    torch.testing.assert_close(inputs, torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.6826895, 5.0]]))


def test_latents_of_codes_have_them() -> None:
    torch.manual_seed(0)
    category = torch.randint(10, (50,))
    continuous = torch.rand(50, 2) * 1.98 - 0.99
    noise = torch.randn(50, 5)
    latents = codes.latents_of(category, continuous, noise, categories=10)
    assert latents.shape == (50, 17)
    found = codes.of(latents, 10, 2)
    assert found[0].equal(category)
    torch.testing.assert_close(found[1], continuous, rtol=0, atol=1e-6)
    assert latents[:, 12:].equal(noise)


def test_codes_of_normal_latents_are_uniform() -> None:
    torch.manual_seed(0)
    number = 40_000
    category, continuous = codes.of(torch.randn(number, 12), 10, 2)
    # A share's deviation is sqrt(0.1 * 0.9 / n) = 0.0015; a mean's sqrt(1/3 / n) = 0.0029.
    shares = torch.bincount(category, minlength=10) / number
    assert (shares - 0.1).abs().max() < 5 * 0.0015
    assert continuous.mean(dim=0).abs().max() < 5 * 0.0029
    assert continuous.abs().max() <= 1
    # Of U[-1, 1], E x^2 = 1/3 with a deviation of sqrt(4/45 / n) = 0.0015.
    assert (continuous.square().mean(dim=0) - 1 / 3).abs().max() < 5 * 0.0015
    assert torch.corrcoef(continuous.T)[0, 1].abs() < 5 / number**0.5


def test_without_continuous_codes_or_noise() -> None:
    category, continuous = codes.of(torch.eye(4), 4, 0)
    assert category.tolist() == [0, 1, 2, 3]
    assert continuous.shape == (4, 0)
    assert codes.latents_of(category, continuous, torch.zeros(4, 0), 4).equal(torch.eye(4))
