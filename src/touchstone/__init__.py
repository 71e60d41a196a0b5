"""touchstone: generative adversarial networks, with figures that can be believed."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from touchstone.cli.authenticators import load_detector as load_detector
    from touchstone.trained import load as load

__version__ = "0.1.0"
__all__ = ["__version__", "load", "load_detector"]

_HOMES = {"load": "touchstone.trained", "load_detector": "touchstone.cli.authenticators"}


def __getattr__(name: str) -> Any:
    """Imports `load` or `load_detector`, and torch with it, when it is first asked for."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
