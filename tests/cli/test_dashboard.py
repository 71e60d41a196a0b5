import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from omegaconf import OmegaConf

from touchstone.cli.dashboard import dashboard
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

# Two runs of two figures and a picture each; the first goes on for as long as it is told to.
TRAINING = """
import sys
from pathlib import Path
from PIL import Image
from touchstone.tracking.loggers import trackio
from touchstone.tracking.run import Run

runs = Path(sys.argv[1])
for name, grey in (("first", 50), ("second", 200)):
    run = Run.create(runs, name, "", {})
    logger = trackio(run, project="touchstone")
    for step in (100, 200):
        logger.log_metrics({"fid10k_fashion": grey / step}, step)
    logger.log_image("samples", [Image.new("L", (28, 28), grey)], 200)
    if name == "second":
        logger.finalize("success")
    else:
        going_on = logger
print(run.path, flush=True)
sys.stdin.readline()
going_on.log_metrics({"fid10k_fashion": 0.1}, 987_000)
going_on.log_image("samples", [Image.new("L", (28, 28), 99)], 987_000)
sys.stdin.readline()
"""
# Each run's colour in a chart's legend, and how many of the chart's pixels have it.
COLOURS = """chart => {
    const canvas = chart.querySelector('canvas');
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return [...chart.querySelectorAll('.legend-dot')].map(dot => {
        const colour = getComputedStyle(dot).backgroundColor.match(/[0-9]+/g).map(Number);
        let count = 0;
        for (let at = 0; at < pixels.length; at += 4)
            count += colour.every((value, channel) => pixels[at + channel] === value);
        return [colour, count];
    });
}"""
# The grey of each picture that has been loaded, and the run's name below it.
PICTURES = """() => [...document.querySelectorAll('.gallery-item')].map(item => {
    const image = item.querySelector('img'), canvas = document.createElement('canvas');
    if (!image.complete || !image.naturalWidth) return null;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const name = item.querySelector('.meta-text').textContent.match(/_(first|second),/)[1];
    return [name, context.getImageData(14, 14, 1, 1).data[0]];
})"""


@pytest.fixture
def training(environment: dict[str, str], tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has logged two runs, and logs more at a word on its standard input."""
    pytest.importorskip("trackio", reason="trackio is not installed")
    words = [sys.executable, "-c", TRAINING, str(tmp_path / "runs")]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.communicate()


@contextmanager
def served(environment: dict[str, str], runs: Path, port: int) -> Iterator[str]:
    """The dashboard's address, as printed; ended by Ctrl-C, which has to end it cleanly."""
    words = ["dashboard", f"runs_dir={runs}", f"port={port}", "open=false"]
    with subprocess.Popen(
        [sys.executable, "-m", "touchstone", *words],
        # A proxy that does not answer: nothing may go through it.
        env=environment | {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would this.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert process.stdout.readline() == "Ctrl-C ends it\n"
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            try:
                rest, errors = process.communicate(timeout=60)
            finally:
                process.kill()  # or `Popen` would wait for it for ever
    assert (rest, errors, process.returncode) == ("", "", 0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_two_runs_overlaid_and_a_running_one_as_it_goes_on(
    training: "subprocess.Popen[str]",
    environment: dict[str, str],
    browser: "Browser",
    tmp_path: Path,
) -> None:
    port = free_port()
    with served(environment, tmp_path / "runs", port) as address:
        base, words = address.split("?")
        assert base.rstrip("/") == f"http://127.0.0.1:{port}"
        with pytest.raises(ConnectionRefusedError):  # listens there and nowhere else
            socket.create_connection(("127.0.0.2", port))

        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(address)
        chart = page.locator(".plot-container", has_text="fid10k_fashion")
        chart.locator("canvas").wait_for()
        names = chart.locator(".legend-label").all_text_contents()
        assert sorted(name.split("_")[-1] for name in names) == ["first", "second"]
        colours = chart.evaluate(COLOURS)
        assert len({tuple(colour) for colour, _ in colours}) == 2
        assert all(pixels > 20 for _, pixels in colours)  # of each run's curve
        before = chart.locator("canvas").evaluate("canvas => canvas.toDataURL()")

        media = browser.new_page()
        media.on("request", lambda request: requested.append(request.url))
        media.goto(f"{base.rstrip('/')}/media?{words}")
        media.wait_for_function(f"({PICTURES})().filter(Boolean).length == 2")
        assert sorted(media.evaluate(PICTURES)) == [["first", 50], ["second", 200]]

        assert training.stdin is not None
        print(file=training.stdin, flush=True)
        page.wait_for_function(
            "before => document.querySelector('.plot canvas').toDataURL() !== before", arg=before
        )
        media.reload()  # curves come by themselves, pictures do not
        media.get_by_text("987,000 images").wait_for()
        media.wait_for_function(f"({PICTURES})().filter(Boolean).length == 3")
        assert ["first", 99] in media.evaluate(PICTURES)
        assert [url for url in requested if not url.startswith(base.rstrip("/"))] == []


def test_what_cannot_be_shown_is_said(
    training: "subprocess.Popen[str]", cli: Cli, tmp_path: Path
) -> None:
    words = ["dashboard", "open=false"]
    nothing = cli(*words, "runs_dir=elsewhere", status=1).stderr
    assert nothing == (
        "touchstone: runs_dir=elsewhere: no run there was logged for the dashboard; "
        "train one with logger=trackio\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = cli(*words, f"port={port}", status=1).stderr
    assert refused == (
        f"touchstone: port={port}: it is taken, perhaps by another dashboard; name one that is "
        f"free, such as port={port + 1}\n"
    )
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("port", [0, 65536, -1, 80.5, "http", True, None])
def test_a_port_is_a_number(port: object, tmp_path: Path) -> None:
    settings = OmegaConf.create({"port": port, "runs_dir": str(tmp_path), "open": False})
    with pytest.raises(UsageError, match=f"port={port}: it has to be a whole number from 1 to"):
        dashboard(settings)


def test_without_trackio_it_is_said_how_to_get_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "trackio").mkdir()
    (tmp_path / "trackio" / "touchstone.db").touch()
    text = "import sys; sys.modules['trackio'] = None; from touchstone.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", text, "dashboard", f"runs_dir={tmp_path}"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    expected = "touchstone: the dashboard needs trackio: pip install 'touchstone[dashboard]'\n"
    assert (done.returncode, done.stderr) == (1, expected)
