"""What every detector keeps to."""

from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import roc_auc_score

from touchstone.authenticity.detectors.detector import Detector, scores
from touchstone.authenticity.detectors.discriminator import Discriminator
from touchstone.authenticity.detectors.fanogan import FAnoGAN
from touchstone.authenticity.detectors.ganomaly import GANomaly
from touchstone.authenticity.detectors.mahalanobis import Mahalanobis
from touchstone.authenticity.detectors.neighbours import Neighbours
from touchstone.authenticity.detectors.one_class_svm import OneClassSVM
from touchstone.authenticity.detectors.patchcore import PatchCore
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.trained import Trained

SHAPE = (1, 16, 16)
MAKERS: dict[str, Callable[[], Detector]] = {
    "discriminator": Discriminator,
    "mahalanobis": Mahalanobis,
    "neighbours": Neighbours,
    "one_class_svm": OneClassSVM,
    "patchcore": lambda: PatchCore(patches=200),
    "fanogan": lambda: FAnoGAN(iterations=40),
    "ganomaly": lambda: GANomaly(latent_size=16, iterations=25),
}
Made = tuple[str, Detector]


@pytest.fixture(scope="module", params=MAKERS)
def made(request: pytest.FixtureRequest, trained: Trained, genuine: Images) -> Made:
    """Each detector once it has learned."""
    detector = MAKERS[request.param]()
    detector.prepare(trained, SHAPE)
    detector.fit(genuine)
    return request.param, detector


@pytest.fixture(scope="module")
def attacks(new: Images) -> list[Images]:
    """What nobody would take for a genuine item: noise, and negatives."""
    drawn = torch.randint(0, 256, new.pixels.shape, generator=torch.Generator().manual_seed(0))
    return [Images(drawn.byte(), None, ()), Images(255 - new.pixels, None, ())]


def test_a_score_does_not_depend_on_the_other_samples(made: Made, new: Images) -> None:
    _, detector = made
    samples, _ = new.batch(torch.arange(8))
    together = scores(detector, new.take(torch.arange(8)))
    with torch.inference_mode():
        alone = torch.cat([detector.score(samples[i : i + 1]) for i in range(8)])
    assert together.shape == (8,)
    assert together.dtype == torch.float32
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)
    assert len(set(together.tolist())) == 8


def test_what_is_saved_is_all_that_it_has_learned(
    made: Made, trained: Trained, new: Images
) -> None:
    name, detector = made
    fresh = MAKERS[name]()
    fresh.prepare(trained, SHAPE)
    fresh.restore(detector.state_dict())
    assert scores(fresh, new).equal(scores(detector, new))


def test_it_tells_the_obvious(made: Made, new: Images, attacks: list[Images]) -> None:
    name, detector = made
    if name == "discriminator":
        pytest.skip("whose word is worth nothing on what neither player makes")
    for attack in attacks:
        found = torch.cat([scores(detector, new), scores(detector, attack)])
        assert roc_auc_score([0] * len(new) + [1] * len(attack), found) > 0.95


def test_learning_is_deterministic_and_leaves_the_random_state(
    made: Made, trained: Trained, genuine: Images, new: Images
) -> None:
    name, detector = made
    state = torch.get_rng_state()
    again = MAKERS[name]()
    again.prepare(trained, SHAPE)
    again.fit(genuine)
    assert torch.get_rng_state().equal(state)
    torch.testing.assert_close(scores(again, new), scores(detector, new))


def test_the_run_stays_as_it_was(made: Made, trained: Trained) -> None:
    _, detector = made
    assert trained.discriminator is not None
    for network in (trained.generator, trained.discriminator):
        assert not network.training
        for parameter in network.parameters():
            assert parameter.grad is None
            assert parameter.requires_grad
    assert not any(name.startswith("trained") for name in detector.state_dict())


def test_gradients_reach_the_sample(made: Made, new: Images) -> None:
    # By which explanations say what a score hangs on.
    _, detector = made
    samples = new.batch(torch.arange(2))[0].requires_grad_()
    [gradient] = torch.autograd.grad(detector.score(samples).sum(), samples)
    assert gradient.isfinite().all()
    assert gradient.abs().amax(dim=(1, 2, 3)).gt(0).all()


def test_maps_are_as_large_as_the_samples(made: Made, new: Images) -> None:
    name, detector = made
    with torch.inference_mode():
        found = detector.map(new.batch(torch.arange(3))[0])
    if name in ("patchcore", "fanogan", "ganomaly"):
        assert found is not None
        assert found.shape == (3, 16, 16)
        assert (found >= 0).all()
    else:
        assert found is None


@pytest.mark.parametrize("name", MAKERS)
def test_an_exported_generator_has_no_discriminator_to_look_through(
    name: str, trained: Trained
) -> None:
    exported = Trained(trained.generator)
    detector = MAKERS[name]()
    if name == "ganomaly":  # which brings its own
        detector.prepare(exported, SHAPE)
        return
    with pytest.raises(UsageError, match=f"detector={name}: .* exported .* give the run"):
        detector.prepare(exported, SHAPE)
