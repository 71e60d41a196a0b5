import pytest
import torch
from torch import Tensor, nn

from touchstone.errors import UsageError
from touchstone.networks.ctgan import Discriminator
from touchstone.privacy.logits import Logits

LAYOUT = [("number", 2), ("category", 3), ("category", 2)]


def rows(number: int) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.cat(
        [
            torch.rand(number, 1, generator=draws),
            *(
                torch.eye(size)[torch.randint(size, (number,), generator=draws)]
                for _, size in LAYOUT
            ),
        ],
        1,
    )


@pytest.mark.parametrize("pack", [1, 4])
@pytest.mark.parametrize("conditional", [False, True])
def test_each_record_is_judged_by_itself(pack: int, conditional: bool) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(LAYOUT, conditional, pack, width=8).eval()
    samples = rows(6)
    found = Logits(discriminator, (8,), LAYOUT)(samples)
    assert found.shape == (6,)
    for number, row in enumerate(samples):
        packed = row.expand(pack, -1)
        if not conditional:
            expected = discriminator(packed)
        else:
            # The category's value, counted over both categories: 3 of the first come before.
            values = [int(row[3:6].argmax()), 3 + int(row[6:8].argmax())]
            expected = torch.stack(
                [discriminator(packed, torch.full((pack,), value)) for value in values]
            ).mean(0)
        torch.testing.assert_close(found[number : number + 1], expected)


def test_samples_that_a_layer_mixes_are_judged_alone() -> None:
    class Mixing(nn.Module):
        mixes_samples = True

        def forward(self, samples: Tensor) -> Tensor:
            return samples.mean((1, 2, 3)) - samples.mean()

    found = Logits(Mixing(), (1, 2, 2))(torch.rand(5, 4))
    assert found.abs().max() < 1e-6


def test_a_discriminator_that_needs_a_label() -> None:
    class Told(nn.Module):
        def forward(self, samples: Tensor, labels: Tensor) -> Tensor:
            return samples.sum(1) + labels

    with pytest.raises(UsageError, match="judges a sample by its label"):
        Logits(Told(), (4,))
