import gzip
import hashlib
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep

import pytest
import torch

from touchstone.data import Images, idx, kmnist
from touchstone.data.idx import Fetch, IdxSet, Place
from touchstone.errors import UsageError


def packed(values: torch.Tensor) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape)
    return header + values.numpy().tobytes()


PIXELS = torch.arange(7 * 4 * 4, dtype=torch.uint8).view(7, 4, 4)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0], dtype=torch.uint8)
CONTENTS = {
    "train-images-idx3-ubyte": packed(PIXELS),
    "train-labels-idx1-ubyte": packed(LABELS),
    "t10k-images-idx3-ubyte": packed(PIXELS[:3]),
    "t10k-labels-idx1-ubyte": packed(LABELS[:3]),
}
LITTLE = IdxSet(
    name="little",
    classes=("a", "b", "c"),
    digest=idx.sha256_uncompressed,
    digests={name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()},
)


def put(folder: Path) -> Path:
    """Puts the set's files there, gzipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENTS.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def load(folder: Path, *sources: Place | Fetch, split: str = "train") -> Images:
    return idx.load(LITTLE, sources, folder, split, 4, 1)


def is_whole(images: Images) -> bool:
    assert images.labels is not None
    return torch.equal(images.pixels[:, 0], PIXELS) and torch.equal(images.labels, LABELS.long())


def answering(folder: Path) -> None:
    put(folder)


def silent(folder: Path) -> None:
    raise OSError("no answer")


def test_the_data_folder_comes_first(tmp_path: Path) -> None:
    put(tmp_path / "little")
    assert is_whole(load(tmp_path, Fetch("never asked", silent)))
    test = load(tmp_path, split="test")
    assert test.pixels.shape == (3, 1, 4, 4)
    assert test.classes == ("a", "b", "c")


def test_uncompressed_files_do_as_well(tmp_path: Path) -> None:
    (tmp_path / "little").mkdir()
    for name, content in CONTENTS.items():
        (tmp_path / "little" / name).write_bytes(content)
    assert is_whole(load(tmp_path))


def test_a_place_is_read_where_it_is(tmp_path: Path) -> None:
    installed = Place("installed", put(tmp_path / "installed"))
    assert is_whole(load(tmp_path / "data", installed))
    assert not (tmp_path / "data").exists()


def test_what_is_fetched_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert is_whole(load(tmp_path, Fetch("afar", answering)))
    assert "little: fetching from afar" in capsys.readouterr().err
    assert is_whole(load(tmp_path, Fetch("afar", silent)))
    assert load(tmp_path, split="test").pixels.shape == (3, 1, 4, 4)
    assert {path.name for path in (tmp_path / "little").iterdir()} == {
        f"{name}.gz" for name in CONTENTS
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(put(tmp_path / "served")))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()


def test_mirrors_are_asked_in_turn(
    tmp_path: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = idx.mirrors(LITTLE, [f"{server}nothing/", server])
    assert is_whole(load(tmp_path, *sources))
    fetched = [line for line in capsys.readouterr().err.splitlines() if "fetching" in line]
    assert fetched == [
        f"little: fetching from {server}nothing/",
        f"little: fetching from {server}",
    ]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"<html>not found</html>",
        lambda content: content[:20] + bytes([content[20] ^ 255]) + content[21:],
        lambda content: gzip.compress(packed(PIXELS.flip(0))),
    ],
    ids=["truncated", "empty", "text", "corrupt", "other pixels"],
)
def test_a_damaged_file_is_refused_and_the_next_source_tried(
    tmp_path: Path, damage: "partial[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path / "little") / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=f"{path} is damaged"):
        load(tmp_path)
    capsys.readouterr()
    assert is_whole(load(tmp_path, Fetch("afar", answering)))
    assert f"{path} is damaged" in capsys.readouterr().err
    assert is_whole(load(tmp_path))  # made good


def test_a_source_that_serves_other_pixels_is_not_kept(tmp_path: Path) -> None:
    def other(place: Path) -> None:
        put(place)
        (place / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(packed(1 - LABELS)))

    with pytest.raises(UsageError, match="its content is not the data set's"):
        load(tmp_path, Fetch("a swindler", other))
    assert not list((tmp_path / "little").iterdir())


def test_when_none_answers_one_message_says_what_was_tried_and_what_to_do(tmp_path: Path) -> None:
    sources = (Place("installed", tmp_path / "nowhere"), Fetch("afar", silent))
    with pytest.raises(UsageError) as caught:
        load(tmp_path, *sources)
    home = tmp_path / "little"
    assert str(caught.value).splitlines() == [
        "data=little: no source has the train files. Tried:",
        f"  the data folder: {home}/train-images-idx3-ubyte[.gz] is not there",
        f"  installed: {tmp_path}/nowhere/train-images-idx3-ubyte[.gz] is not there",
        "  afar: no answer",
        f"Put train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz into {home} by hand, "
        "or set data_dir to a folder that has them.",
    ]


def test_jobs_that_ask_at_once_fetch_once(tmp_path: Path) -> None:
    asked = []

    def count(place: Path) -> None:
        asked.append(place)
        sleep(0.2)  # the others are at the door meanwhile
        put(place)

    with ThreadPoolExecutor(8) as jobs:
        loaded = list(jobs.map(lambda _: load(tmp_path, Fetch("afar", count)), range(8)))
    assert all(is_whole(images) for images in loaded)
    assert len(asked) == 1


def test_it_is_fitted_to_the_resolution_and_channels(tmp_path: Path) -> None:
    put(tmp_path / "little")
    assert idx.load(LITTLE, (), tmp_path, "train", 8, 3).pixels.shape == (7, 3, 8, 8)
    with pytest.raises(UsageError, match="split=valid"):
        load(tmp_path, split="valid")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"\0\0\x0d\x01" + bytes(8), "not an idx file"),
        (b"\0\0\x08\x03" + bytes(4), "ends within its header"),
        (packed(PIXELS)[:-1], "111 values, 112 are stated"),
        (packed(PIXELS) + b"\0", "113 values, 112 are stated"),
    ],
)
def test_what_is_no_idx_file_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(idx.Damaged, match=message):
        idx.parse(content)


def test_kmnist_is_checked_as_published() -> None:
    content = gzip.compress(b"pixels")
    assert kmnist.md5_as_published(content) == hashlib.md5(content).hexdigest()
    with pytest.raises(idx.Damaged, match="not gzipped"):
        kmnist.md5_as_published(b"pixels")
