"""How a printed code lies in a sample."""

import torch

from touchstone.symbols import beside, enlarged, symbols_of


def test_a_template_lies_beside_its_picture_three_pixels_a_symbol() -> None:
    symbols = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]])
    pictures = torch.zeros(1, 1, 6, 6)
    samples = beside(pictures, symbols)
    assert samples.shape == (1, 2, 6, 6)
    assert torch.equal(samples[:, :1], pictures)
    assert samples[0, 1].tolist() == [[1.0] * 3 + [-1.0] * 3] * 3 + [[-1.0] * 3 + [1.0] * 3] * 3
    assert torch.equal(symbols_of(samples[:, 1:]), symbols)


def test_enlarged_as_much_as_asked() -> None:
    assert enlarged(torch.tensor([[[1, 2]]]), 2).tolist() == [[[1, 1, 2, 2], [1, 1, 2, 2]]]
