"""`touchstone dashboard`: the local dashboard, in the browser."""

import io
import os
import threading
import webbrowser
from contextlib import redirect_stdout, suppress
from pathlib import Path

from omegaconf import DictConfig

from touchstone.cli.front import enter
from touchstone.errors import UsageError


def main() -> None:
    """Serves as the command line says."""
    enter("dashboard", dashboard)


def dashboard(settings: DictConfig) -> None:
    """Serves the dashboard of the runs in a folder, until Ctrl-C.

    Raises:
        UsageError: where nothing was logged, trackio is not installed, or the port cannot be had.
    """
    port = settings.port
    if type(port) is not int or not 0 < port < 2**16:
        raise UsageError(f"port={port}: it has to be a whole number from 1 to 65535")
    folder = Path(settings.runs_dir).resolve() / "trackio"
    if not any(folder.glob("*")):
        raise UsageError(
            f"runs_dir={settings.runs_dir}: no run there was logged for the dashboard; "
            "train one with logger=trackio"
        )
    os.environ |= {
        "TRACKIO_DIR": str(folder),
        "HF_HUB_OFFLINE": "1",
        "no_proxy": "*",  # trackio asks its own server whether it is up
    }
    try:
        import trackio
    except ModuleNotFoundError as error:
        raise UsageError(
            "the dashboard needs trackio: pip install 'touchstone[dashboard]'"
        ) from error
    try:
        with redirect_stdout(io.StringIO()):
            server, *_, address = trackio.show(
                host="127.0.0.1",
                server_port=port,
                share=False,
                mcp_server=False,
                open_browser=False,
                block_thread=False,
            )
    except OSError as error:
        raise UsageError(
            f"port={port}: it is taken, perhaps by another dashboard; name one that is free, such "
            f"as port={port + 1}"
        ) from error
    address = f"{address}&smoothing=0"  # a smoothed curve shows figures that nobody measured
    print(f"{address}\nCtrl-C ends it", flush=True)
    if settings.open:
        webbrowser.open(address)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    server.close()
