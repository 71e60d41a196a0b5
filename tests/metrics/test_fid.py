import itertools
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor, load
from touchstone.metrics.fid import FID


class Table(Extractor):
    """Looks an image of one pixel up in a table of features, up to 256 rows."""

    name = "table"

    def __init__(self, rows: Tensor, fingerprint: str = "table") -> None:
        super().__init__()
        self.rows = nn.Parameter(rows.float())
        self.num_features = rows.shape[1]
        self.fingerprint = fingerprint
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.rows[images.flatten().long()]


@dataclass
class Pictures:
    pixels: Tensor
    content_hash: str = "pictures"

    def __len__(self) -> int:
        return len(self.pixels)


def rows(start: int, stop: int) -> Tensor:
    """The images that look up the rows from `start` to `stop`."""
    return torch.arange(start, stop, dtype=torch.uint8).view(-1, 1, 1, 1)


def figure(fid: FID, images: Tensor) -> float:
    fid.reset()
    fid.update(images)
    return fid.compute()


def prepared(table: Tensor, real: int, cache: Path | None = None, content: str = "a") -> FID:
    """A FID whose reference is the table's first rows, and whose generated images are the rest."""
    fid = FID(Table(table), len(table) - real, cache)
    fid.prepare(Pictures(rows(0, real), content), "cpu")
    return fid


# 16 points of mean 0 and covariance I over N - 1, exactly: the corners of a cube.
CORNERS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4))) * math.sqrt(15 / 16)


def test_two_gaussians_have_the_distance_worked_out_by_hand() -> None:
    # N(0, I) and N(1, 4 I) of 4 dimensions: |1|^2 = 4 and tr(I + 4 I - 2 (4 I)^(1/2)) = 4.
    fid = prepared(torch.cat([CORNERS, 1 + 2 * CORNERS]), 16)
    assert figure(fid, rows(16, 32)) == pytest.approx(8, abs=1e-5)
    # Without the spread, the mean alone; without the shift, the spread alone.
    fid = prepared(torch.cat([CORNERS, 1 + CORNERS]), 16)
    assert figure(fid, rows(16, 32)) == pytest.approx(4, abs=1e-5)
    fid = prepared(torch.cat([CORNERS, 2 * CORNERS]), 16)
    assert figure(fid, rows(16, 32)) == pytest.approx(4, abs=1e-5)
    fid = prepared(torch.cat([CORNERS, CORNERS]), 16)
    assert figure(fid, rows(16, 32)) == pytest.approx(0, abs=1e-6)


def test_a_common_offset_costs_no_digits() -> None:
    # Sums of squares in float32 would be off by more than the whole distance.
    cube = CORNERS.sign()
    near, far = (prepared(torch.cat([cube, 2 * cube]) + offset, 16) for offset in (0, 4096))
    assert figure(far, rows(16, 32)) == pytest.approx(figure(near, rows(16, 32)), rel=1e-7)


def test_it_equals_torch_fidelity() -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(256, 8, generator=generator) @ torch.randn(8, 8, generator=generator)
    table[100:] = table[100:] * 1.5 + 0.3
    real, fake = (fid_features_to_statistics(part.double()) for part in (table[:100], table[100:]))
    theirs = fid_statistics_to_metric(real, fake, False)["frechet_inception_distance"]
    assert theirs > 1
    assert figure(prepared(table, 100), rows(100, 256)) == pytest.approx(theirs, rel=1e-8)


def test_batches_and_their_order_do_not_matter() -> None:
    table = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    fid = prepared(table, 20)
    whole = figure(fid, rows(20, 64))
    fid.reset()
    for batch in reversed(torch.split(rows(20, 64), [1, 30, 13])):
        fid.update(batch)
    assert fid.compute() == pytest.approx(whole, rel=1e-9)


def test_a_reset_forgets_the_generated_images_and_keeps_the_reference() -> None:
    fid = prepared(torch.cat([CORNERS, 2 * CORNERS, CORNERS]), 16)
    assert isinstance(fid.extractor, Table)
    calls = fid.extractor.calls
    fid.generated = 16
    first, second, third = (figure(fid, rows(s, s + 16)) for s in (16, 32, 16))
    assert first == third == pytest.approx(4, abs=1e-5)
    assert second == pytest.approx(0, abs=1e-6)
    assert fid.compute() == third
    assert fid.extractor.calls == calls + 3


def test_the_name_carries_the_protocol() -> None:
    extractor = Table(torch.zeros(256, 4))
    names = {count: FID(extractor, count, None).name for count in (500, 1000, 1500, 50_000)}
    assert names == {
        500: "fid500_table",
        1000: "fid1k_table",
        1500: "fid1500_table",
        50_000: "fid50k_table",
    }


def test_the_extractor_is_frozen_and_keeps_its_precision() -> None:
    fashion = load("fashion").train()
    fid = FID(fashion, 100, None)
    assert not any(module.training for module in fashion.modules())
    assert not any(parameter.requires_grad for parameter in fashion.parameters())
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (200, 1, 28, 28), dtype=torch.uint8, generator=generator)
    fid.prepare(Pictures(images[:100]), "cpu")
    plain = figure(fid, images[100:])
    with torch.autocast("cpu", torch.bfloat16):
        assert figure(fid, images[100:]) == plain


TABLE = torch.cat([CORNERS, 1 + 2 * CORNERS, CORNERS * torch.tensor([1.0, 2.0, 3.0, 4.0])])


def test_the_references_statistics_are_computed_once(tmp_path: Path) -> None:
    first, again = prepared(TABLE, 16, tmp_path), prepared(TABLE, 16, tmp_path)
    assert [fid.extractor.calls for fid in (first, again)] == [1, 0]
    assert figure(again, rows(16, 48)) == figure(first, rows(16, 48))
    (file,) = (tmp_path / "statistics").iterdir()
    assert file.suffix == ".safetensors"


def test_other_images_or_another_extractor_have_statistics_of_their_own(tmp_path: Path) -> None:
    prepared(TABLE, 16, tmp_path)
    other = prepared(TABLE, 16, tmp_path, content="b")
    assert other.extractor.calls == 1
    changed = Table(2 * TABLE, fingerprint="changed")
    FID(changed, 16, tmp_path).prepare(Pictures(rows(0, 16), "a"), "cpu")
    assert changed.calls == 1
    assert len(list((tmp_path / "statistics").iterdir())) == 3


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_damaged_statistics_are_made_anew(tmp_path: Path, damage: str) -> None:
    first = prepared(TABLE, 16, tmp_path)
    (file,) = (tmp_path / "statistics").iterdir()
    whole = file.read_bytes()
    file.write_bytes(
        {
            "truncated": whole[:-8],
            "flipped": whole[:-3] + bytes([whole[-3] ^ 64]) + whole[-2:],
            "empty": b"",
            "text": b"no statistics at all",
        }[damage]
    )
    again = prepared(TABLE, 16, tmp_path)
    assert again.extractor.calls == 1
    assert figure(again, rows(16, 48)) == figure(first, rows(16, 48))
    assert file.read_bytes() == whole
    assert list(file.parent.iterdir()) == [file]


def test_a_cache_that_cannot_be_written_costs_no_figure(tmp_path: Path) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match=r"cannot be kept in .*cache/statistics"):
        fid = prepared(TABLE, 16, blocked)
    assert figure(fid, rows(16, 48)) == figure(prepared(TABLE, 16), rows(16, 48))


def test_too_few_images_are_refused() -> None:
    extractor = Table(TABLE)
    with pytest.raises(UsageError, match=r"metrics\.generated=3 is too few.* 4\."):
        FID(extractor, 3, None)
    fid = FID(extractor, 4, None)
    with pytest.raises(UsageError, match=r"has 3 images, too few as a reference.* 4\."):
        fid.prepare(Pictures(rows(0, 3)), "cpu")


def test_features_that_are_not_finite_are_refused() -> None:
    table = TABLE.clone()
    table[17, 2] = math.nan
    table[18, 2] = math.inf
    fid = FID(Table(table), 16, None)
    for start in (17, 18):
        with pytest.raises(UsageError, match="table gave a feature that is not finite"):
            fid.prepare(Pictures(rows(start, start + 16)), "cpu")
    fid.prepare(Pictures(rows(0, 16)), "cpu")
    with pytest.raises(UsageError, match="not finite"):
        fid.update(rows(16, 32))


def test_what_are_no_images_of_eight_bits_is_refused() -> None:
    fid = prepared(TABLE, 16)
    with pytest.raises(ValueError, match=r"uint8 .* not torch\.float32"):
        fid.update(torch.rand(4, 1, 1, 1))
    with pytest.raises(ValueError, match=r"uint8 .* not torch\.uint8 \(4, 1\)"):
        fid.update(torch.zeros(4, 1, dtype=torch.uint8))


def test_no_figure_from_another_number_of_images_than_the_name_says() -> None:
    fid = prepared(TABLE, 16)
    fid.update(rows(16, 47))
    with pytest.raises(ValueError, match="goes by 32 images, not 31"):
        fid.compute()
    fid.update(rows(47, 48))
    assert math.isfinite(fid.compute())
    with pytest.raises(ValueError, match="prepare the reference"):
        FID(Table(TABLE), 16, None).compute()


PROCESS = """
import sys
import torch
from torch import distributed
from touchstone.metrics.extractors import load
from touchstone.metrics.fid import FID

class Pictures:
    content_hash = "pictures"
    def __init__(self, pixels): self.pixels = pixels
    def __len__(self): return len(self.pixels)

rank, meeting = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
images = torch.load(sys.argv[3], weights_only=True)
fid = FID(load("fashion"), 130, None)
fid.prepare(Pictures(images[:100]), "cpu")
shards = images[100:].split([90, 40])
for _ in range(2):
    fid.reset()
    fid.update(shards[rank])
    figure = fid.compute()
print(repr(figure))
distributed.destroy_process_group()
"""


def test_two_processes_with_uneven_shares_give_the_figure_of_one(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (230, 1, 28, 28), dtype=torch.uint8, generator=generator)
    torch.save(images, tmp_path / "images.pt")
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                PROCESS,
                str(rank),
                tmp_path / "meeting",
                tmp_path / "images.pt",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    figures = [float(process.communicate(timeout=100)[0]) for process in processes]
    fid = FID(load("fashion"), 130, None)
    fid.prepare(Pictures(images[:100]), "cpu")
    assert figures == pytest.approx([figure(fid, images[100:])] * 2, rel=1e-6)


def test_the_configuration_makes_it(tmp_path: Path) -> None:
    conf = Path(__file__).parents[2] / "conf" / "metrics"
    composed = OmegaConf.create(
        {
            "metrics": OmegaConf.load(conf / "fid.yaml"),
            "data": {"extractor": "fashion"},
            "cache_dir": str(tmp_path),
        }
    )
    fid = instantiate(composed).metrics.figures.fid
    assert isinstance(fid, FID)
    assert fid.name == "fid10k_fashion"
    assert OmegaConf.load(conf / "none.yaml") == {"figures": {}}
