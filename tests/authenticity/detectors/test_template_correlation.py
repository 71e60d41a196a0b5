"""Codes compared with their templates as wholes."""

import pytest
import torch

from touchstone.authenticity.detectors.template_correlation import TemplateCorrelation
from touchstone.errors import UsageError
from touchstone.trained import Trained


def prepared(*shape: int) -> TemplateCorrelation:
    detector = TemplateCorrelation()
    detector.prepare(Trained(torch.nn.Identity()), shape)
    return detector


def test_it_is_minus_pearsons_correlation() -> None:
    samples = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([torch.corrcoef(sample.flatten(1))[0, 1] for sample in samples])
    torch.testing.assert_close(prepared(2, 9, 9).score(samples), -expected)


def test_light_and_contrast_do_not_count_and_a_blank_picture_is_uncorrelated() -> None:
    template = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    detector = prepared(2, 9, 9)
    same = torch.cat([0.3 * template - 0.1, template], 1)
    torch.testing.assert_close(detector.score(same), torch.tensor([-1.0]))
    assert detector.map(same).abs().max() < 1e-6
    blank = torch.cat([torch.zeros_like(template), template], 1)
    assert detector.score(blank).tolist() == [0.0]


def test_for_pictures_beside_templates_alone() -> None:
    with pytest.raises(UsageError, match="has 1 channel"):
        prepared(1, 28, 28)
