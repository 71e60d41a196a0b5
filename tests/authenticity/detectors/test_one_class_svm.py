import pytest
import torch
from sklearn import svm
from sklearn.preprocessing import StandardScaler

from touchstone.authenticity.detectors import one_class_svm
from touchstone.authenticity.detectors.detector import scores
from touchstone.authenticity.detectors.one_class_svm import OneClassSVM
from touchstone.authenticity.examination import features_of
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.trained import Trained


@pytest.mark.parametrize("nu", [0.1, 0.5])
def test_the_score_is_sklearns(trained: Trained, genuine: Images, new: Images, nu: float) -> None:
    detector = OneClassSVM(nu)
    detector.prepare(trained, genuine.shape)
    detector.fit(genuine)

    scaler = StandardScaler()
    seen = scaler.fit_transform(features_of(trained, genuine).double().numpy())
    machine = svm.OneClassSVM(kernel="rbf", gamma="scale", nu=nu, tol=1e-6).fit(seen)
    asked = scaler.transform(features_of(trained, new).double().numpy())
    expected = torch.from_numpy(-machine.decision_function(asked)).float()
    torch.testing.assert_close(scores(detector, new), expected, rtol=0, atol=1e-4)
    assert float(detector.gamma) == pytest.approx(machine._gamma, rel=1e-4)
    # Schölkopf et al., proposition 3: nu bounds the share outside from above.
    assert scores(detector, genuine).gt(0.01).float().mean() <= nu


def test_a_feature_that_never_varied_counts_once_it_does(pixels: Trained) -> None:
    drawn = torch.randint(0, 256, (50, 1, 1, 3), generator=torch.Generator().manual_seed(0))
    drawn[:, :, :, 2] = 100
    detector = OneClassSVM()
    detector.prepare(pixels, (1, 1, 3))
    detector.fit(Images(drawn.byte(), None, ()))
    assert float(detector.gamma) == 0.5
    asked = drawn[:2].clone()
    asked[1] = asked[0]
    asked[1, :, :, 2] = 200
    plain, odd = scores(detector, Images(asked.byte(), None, ()))
    assert odd > plain


def test_of_many_items_some_are_asked(
    trained: Trained, genuine: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_class_svm, "ITEMS", 20)
    detector = OneClassSVM(nu=0.9)  # the least share that become support vectors
    detector.prepare(trained, genuine.shape)
    detector.fit(genuine)
    assert 18 <= len(detector.vectors) <= 20


@pytest.mark.parametrize("nu", [0, 1])
def test_refuses_what_is_no_share(nu: float) -> None:
    with pytest.raises(UsageError, match=rf"detectors.one_class_svm.nu={nu}: .* \(0, 1\)"):
        OneClassSVM(nu)
