"""touchstone: generative adversarial networks, with figures that can be believed."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from touchstone.trained import load as load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Imports `load`, and torch with it, when it is first asked for."""
    if name == "load":
        from touchstone.trained import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
