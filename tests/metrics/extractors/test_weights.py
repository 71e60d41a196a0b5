import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from touchstone.errors import UsageError
from touchstone.metrics.extractors.weights import Published, State, tensors

Digest = Callable[[Path], str]


def linear(state: State) -> nn.Linear:
    made = nn.Linear(2, 2)
    made.load_state_dict(state)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


@pytest.fixture
def published(file: Path, digest: Digest) -> Published:
    return Published("tiny", "a tiny network", file.as_uri(), digest(file), "tiny-cached.pth")


def refusal(published: Published, path: Path | None = None) -> str:
    with pytest.raises(UsageError) as raised:
        published.find(path).build(linear)
    return str(raised.value)


def test_weights_are_known_by_their_hash_wherever_they_lie(
    published: Published, file: Path, hub: Path
) -> None:
    os.link(file, hub / "tiny-cached.pth")
    for weights in (None, file, str(file)):
        found = published.find(weights)
        assert found.named("tiny") == "tiny"
        assert torch.equal(found.build(linear).weight, torch.load(file)["weight"])


def test_other_weights_have_another_name(published: Published, hub: Path, digest: Digest) -> None:
    other = hub / "tiny-cached.pth"
    torch.save(nn.Linear(2, 2).state_dict(), other)
    for weights in (None, other):
        assert published.find(weights).named("tiny") == f"tiny_{digest(other)[:8]}"


def test_safetensors_are_read_whatever_the_files_name(published: Published, tmp_path: Path) -> None:
    expected = {"weight": torch.eye(2), "bias": torch.arange(2.0)}
    save_file(expected, tmp_path / "nameless")
    network = published.find(tmp_path / "nameless").build(linear)
    assert torch.equal(network.weight, torch.eye(2))
    assert torch.equal(network.bias, torch.arange(2.0))
    assert not network.training
    assert not network.weight.requires_grad


def test_only_the_published_file_is_opened_by_its_own_reader(
    published: Published, file: Path, tmp_path: Path
) -> None:
    opened = list[bytes]()

    def read(content: bytes) -> State:
        opened.append(content)
        return tensors(content)

    particular = replace(published, read=read)
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    particular.find(tmp_path / "other.pth").build(linear)
    assert opened == []
    particular.find(file).build(linear)
    assert opened == [file.read_bytes()]


def test_weights_are_downloaded_once_and_checked(
    published: Published, file: Path, hub: Path, digest: Digest
) -> None:
    damaged = replace(published, sha256="0" * 64)
    assert "invalid hash value" in refusal(damaged)
    assert not (hub / "tiny-cached.pth").exists()
    assert published.find(None).named("tiny") == "tiny"
    assert digest(hub / "tiny-cached.pth") == digest(file)
    file.unlink()
    assert published.find(None).named("tiny") == "tiny"


def test_without_a_network_a_message_says_what_to_do(
    published: Published, hub: Path, tmp_path: Path
) -> None:
    absent = replace(published, url=(tmp_path / "absent.pth").as_uri())
    message = refusal(absent)
    for words in (
        "protocol.extractor=tiny",
        "download failed",
        absent.url,
        "protocol.weights=PATH",
        str(hub / "tiny-cached.pth"),
        "protocol.extractor=fashion",
    ):
        assert words in message
    assert "\n" not in message


def test_a_path_where_nothing_is_is_refused(published: Published, tmp_path: Path) -> None:
    message = refusal(published, tmp_path / "nowhere.pth")
    for words in (str(tmp_path / "nowhere.pth"), "protocol.weights", "tiny.pth", published.url):
        assert words in message


class Bomb:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_code_in_a_file_is_not_run(published: Published, tmp_path: Path) -> None:
    file, trace = tmp_path / "weights.pth", tmp_path / "trace"
    torch.save({"weight": Bomb(trace)}, file)
    assert "does not hold the weights of a tiny network" in refusal(published, file)
    assert not trace.exists()
    torch.load(file, weights_only=False)  # the bomb is live
    assert trace.exists()


def contents(file: Path) -> dict[str, bytes]:
    def saved(thing: object) -> bytes:
        torch.save(thing, file)
        return file.read_bytes()

    return {
        "another network's": saved(nn.Linear(3, 3).state_dict()),
        "a list": saved([1]),
        "cut short": saved(nn.Linear(2, 2).state_dict())[:-50],
        "empty": b"",
        "no safetensors": b"12345678{not json",
    }


def test_a_file_that_holds_something_else_is_refused(published: Published, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    for kind, content in contents(file).items():
        file.write_bytes(content)
        message = refusal(published, file)
        assert f"{file} does not hold the weights of a tiny network (" in message, kind
        assert "\n" not in message
