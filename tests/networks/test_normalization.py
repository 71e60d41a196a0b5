"""Each normalization, in each discriminator."""

import copy
import io
from collections.abc import Callable
from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from touchstone.networks import article, dcgan, normalization, resnet
from touchstone.networks.heads import Projection

NAMES = ("none", "batch", "layer", "instance", "spectral")

DISCRIMINATORS: dict[str, Callable[[str], nn.Module]] = {
    "article": lambda name: article.Discriminator(28, 2, 4, name, dropout=0.0),
    "dcgan": lambda name: dcgan.Discriminator(28, 2, 4, name),
    "resnet": lambda name: resnet.Discriminator(28, 2, 4, name),
}

GENERATORS: dict[str, Callable[[], nn.Module]] = {
    "article": lambda: article.Generator(6, 28, 2, width=4),
    "dcgan": lambda: dcgan.Generator(6, 28, 2, width=4),
    "resnet": lambda: resnet.Generator(6, 28, 2, width=4),
}

each = pytest.mark.parametrize(("family", "name"), list(product(DISCRIMINATORS, NAMES)))


def build(family: str, name: str) -> nn.Module:
    torch.manual_seed(0)
    discriminator = DISCRIMINATORS[family](name)
    with torch.no_grad():  # so that logits are not all near 0
        for parameter in discriminator.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return discriminator


def samples(size: int = 4) -> Tensor:
    return torch.rand(size, 2, 28, 28, generator=torch.Generator().manual_seed(1)) * 2 - 1


@each
def test_other_samples_of_the_batch_matter_to_batch_normalization_alone(
    family: str, name: str
) -> None:
    discriminator = build(family, name).train()
    twin = copy.deepcopy(discriminator)
    batch = samples(8)
    first, others = batch[:1], batch[1:]
    among_these = discriminator(torch.cat([first, others]))[0]
    among_those = twin(torch.cat([first, 0.5 - others]))[0]
    if name == "batch":
        assert (among_these - among_those).abs() > 1e-2
    else:
        torch.testing.assert_close(among_these, among_those, rtol=1e-4, atol=1e-5)


@each
def test_a_copy_and_a_stored_state_go_on_bit_for_bit(family: str, name: str) -> None:
    discriminator = build(family, name)
    optimizer = torch.optim.Adam(discriminator.parameters())
    discriminator(samples()).mean().backward()
    optimizer.step()

    file = io.BytesIO()
    torch.save(discriminator.state_dict(), file)
    file.seek(0)
    torch.manual_seed(5)
    loaded = DISCRIMINATORS[family](name)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    copied = copy.deepcopy(discriminator)

    for training in (True, True, False):
        logits = discriminator.train(training)(samples())
        assert torch.equal(loaded.train(training)(samples()), logits)
        assert torch.equal(copied.train(training)(samples()), logits)
    for key, value in discriminator.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)
        assert torch.equal(copied.state_dict()[key], value)


@each
def test_the_memory_format_changes_no_logit(family: str, name: str) -> None:
    discriminator = build(family, name).double()
    twin = copy.deepcopy(discriminator).to(memory_format=torch.channels_last)
    batch = samples().double()
    logits, twins = discriminator(batch), twin(batch.to(memory_format=torch.channels_last))
    torch.testing.assert_close(twins, logits, rtol=1e-10, atol=1e-10)
    logits.sum().backward()
    twins.sum().backward()
    for own, other in zip(discriminator.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(other.grad, own.grad, rtol=1e-8, atol=1e-8)


@each
def test_a_gradient_penalty_s_gradient_equals_finite_differences(family: str, name: str) -> None:
    # In training mode each pass would move on the power iteration, and with it the function.
    discriminator = build(family, name).double().train(name != "spectral")
    leaf = samples(3).double().requires_grad_()
    key, weight = next(named for named in discriminator.named_parameters() if named[1].ndim > 1)

    def penalty(weight: Tensor) -> Tensor:
        logits = functional_call(discriminator, {key: weight}, (leaf,))
        (gradient,) = torch.autograd.grad(logits.sum(), leaf, create_graph=True)
        return gradient.flatten(1).square().sum(1).mean()

    at = weight.detach().clone().requires_grad_()
    assert torch.autograd.grad(penalty(at), at)[0].abs().max() > 1e-3
    assert torch.autograd.gradcheck(penalty, (at,), eps=1e-7, rtol=1e-3, fast_mode=True)


@each
def test_an_update_with_a_penalty_runs_in_training_mode(family: str, name: str) -> None:
    # Three passes before one backward: none may overwrite what another's gradient needs.
    discriminator = build(family, name).train()
    real, fake, leaf = samples(4), -samples(4), samples(4).requires_grad_()
    score = discriminator(leaf).sum()
    (gradient,) = torch.autograd.grad(score, leaf, create_graph=True)
    penalty = gradient.flatten(1).square().sum(1).mean()
    (discriminator(fake).mean() - discriminator(real).mean() + penalty).backward()
    for key, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@each
def test_gradients_reach_every_parameter(family: str, name: str) -> None:
    # In double precision, which tells a bias that is normalized away from one of little effect.
    discriminator = build(family, name).double()
    generator = GENERATORS[family]().double()
    logits = discriminator(generator(torch.randn(4, 6).double()))
    (logits * torch.tensor([1.0, -2.0, 0.5, 3.0])).sum().backward()
    for network in (generator, discriminator):
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.abs().max() > 1e-9, key


@each
def test_labels_are_accepted_and_ignored(family: str, name: str) -> None:
    discriminator = build(family, name).eval()
    labels = torch.arange(4)
    assert torch.equal(discriminator(samples(), labels), discriminator(samples()))
    generator = GENERATORS[family]().eval()
    latents = torch.randn(4, 6)
    assert torch.equal(generator(latents, labels), generator(latents))


@pytest.mark.parametrize("family", DISCRIMINATORS)
def test_spectral_wraps_every_layer(family: str) -> None:
    discriminator = build(family, "spectral")
    for _ in range(100):
        discriminator(samples(1))
    discriminator.eval()
    layers = [m for m in discriminator.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) >= 3
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()
        assert norm == pytest.approx(1, abs=0.01)
    weights = [key for key, _ in discriminator.named_parameters() if not key.endswith("bias")]
    assert len(weights) == len(layers)
    assert all(key.endswith("parametrizations.weight.original") for key in weights)


def test_spectral_wraps_a_head_s_embedding() -> None:
    torch.manual_seed(0)
    head = partial(Projection, classes=5)
    discriminator = resnet.Discriminator(28, 2, 4, "spectral", head=head)
    for _ in range(100):
        discriminator(samples(), torch.arange(4))
    table = discriminator.eval().head.embedding
    assert isinstance(table, nn.Embedding)
    norm = torch.linalg.matrix_norm(table.weight, ord=2).item()
    assert norm == pytest.approx(1, abs=0.01)
    torch.testing.assert_close(table(torch.tensor([3, 1])), table.weight[[3, 1]])


def test_spectral_is_of_the_kinds_of_layers_that_are_named() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Linear(2, 3), nn.Embedding(2, 3))
    normalization.spectral(network, nn.Linear, nn.Embedding)
    assert [hasattr(layer, "parametrizations") for layer in network] == [False, True, True]


@pytest.mark.parametrize("family", DISCRIMINATORS)
def test_a_forward_pass_in_training_is_one_power_iteration(family: str) -> None:
    discriminator = build(family, "spectral")
    before = copy.deepcopy(discriminator.state_dict())
    discriminator.eval()(samples())
    assert all(torch.equal(before[key], value) for key, value in discriminator.state_dict().items())

    discriminator.train()(samples())
    after = discriminator.state_dict()
    originals = [key for key in before if key.endswith("original")]
    for key in originals:
        weight = before[key].flatten(1)
        places = (key.replace("original", "0._u"), key.replace("original", "0._v"))
        left = functional.normalize(weight @ before[places[1]], dim=0)
        right = functional.normalize(weight.T @ left, dim=0)
        torch.testing.assert_close(after[places[0]], left)
        torch.testing.assert_close(after[places[1]], right)


@pytest.mark.parametrize(
    ("name", "dimensions"), [("batch", (0, 2, 3)), ("layer", (1, 2, 3)), ("instance", (2, 3))]
)
def test_what_each_one_averages_over(name: str, dimensions: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    activations = 3 + 2 * torch.randn(5, 6, 4, 4, dtype=torch.float64)
    layer = normalization.of_activations(name, 6).double()
    mean = activations.mean(dimensions, keepdim=True)
    variance = activations.var(dimensions, correction=0, keepdim=True)
    expected = (activations - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(layer(activations), expected)
    assert sorted(parameter.numel() for parameter in layer.parameters()) == [6, 6]
    assert normalization.has_shift(name)


@pytest.mark.parametrize("name", ["none", "spectral"])
def test_the_others_leave_activations_alone(name: str) -> None:
    activations = torch.randn(5, 6, 4, 4)
    assert torch.equal(normalization.of_activations(name, 6)(activations), activations)
    assert not normalization.has_shift(name)


@pytest.mark.parametrize("family", DISCRIMINATORS)
def test_refuses_an_unknown_name(family: str) -> None:
    message = r"model\.normalization=group .* none, batch, layer, instance, spectral"
    with pytest.raises(ValueError, match=message):
        DISCRIMINATORS[family]("group")
    with pytest.raises(ValueError, match=message):
        dcgan.Discriminator(8, 1, 4, "group")  # which normalizes no activations at 8x8
