"""What counterfeiters read and print."""

import torch

from touchstone.data.counterfeiting import another, photocopied, trained_reader, voted
from touchstone.data.printing import Press, Scanner, plate, printed


def codes(number: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prints of random symbols, and these."""
    symbols = torch.rand(number, 8, 8, generator=torch.Generator().manual_seed(seed)) < 0.5
    return printed(plate(symbols), Press(), Scanner(), seed), symbols


def test_a_vote_is_of_the_pixels_of_a_symbol() -> None:
    picture = torch.full((1, 24, 24), 200, dtype=torch.uint8)
    picture[0, :3, :3] = torch.tensor([[10, 10, 10], [10, 10, 250], [250, 250, 250]])
    assert voted(picture).nonzero().tolist() == [[0, 0, 0]]


def test_a_trained_reader_errs_less_than_a_vote() -> None:
    pictures, symbols = codes(300, seed=1)
    reader = trained_reader(pictures, symbols, seed=0, iterations=200)
    unseen, truth = codes(200, seed=2)
    by_vote = (voted(unseen) != truth).float().mean()
    by_network = ((reader.read(unseen) > 0) != truth).float().mean()
    assert 0.1 < by_vote < 0.25
    assert by_network < by_vote / 2


def test_a_photocopy_is_softer_than_its_original() -> None:
    pictures, _ = codes(100, seed=1)
    copies = photocopied(pictures, Press(), Scanner(), seed=5)
    assert copies.shape == pictures.shape
    both = torch.stack([pictures, copies], 1).float().flatten(2)
    matrices = [torch.corrcoef(pair)[0, 1] for pair in both]
    assert torch.stack(matrices).mean() > 0.8
    assert fine(copies) < 0.75 * fine(pictures)


def fine(pictures: torch.Tensor) -> float:
    """The power of what repeats within six pixels, the width of two symbols."""
    power = torch.fft.rfft2(pictures.float()).abs().square()
    down, across = torch.fft.fftfreq(24)[:, None], torch.fft.rfftfreq(24)
    return float(power[:, (down**2 + across**2).sqrt() > 1 / 6].mean())


def test_another_press_differs_in_spread_waver_and_gain() -> None:
    other = another(Press(spread=0.3, waver=0.1, gain=0.4))
    assert (round(other.spread, 3), round(other.waver, 3), round(other.gain, 3)) == (
        0.33,
        0.12,
        0.43,
    )
