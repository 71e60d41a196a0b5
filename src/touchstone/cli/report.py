"""What a training run says of itself: how it begins, how it ended, and how to look at it."""

import logging
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from touchstone import job
from touchstone.callbacks import Checkpointing, Curves, Evaluation
from touchstone.tracking.run import Run

if TYPE_CHECKING:
    from pytorch_lightning import Callback

    from touchstone.data import Split
    from touchstone.gan import GAN


def announce(run: Run, gan: "GAN", images: "Split", start: int) -> None:
    """Says what begins, on standard error."""
    if not job.leads():
        return
    begun = f"going on at {start:,} of" if start else "training for"
    size = "x".join(str(size) for size in images.shape)
    unit, parts = ("rows", " numbers") if len(images.shape) == 1 else ("images", "")
    print(
        f"{shown(run.path)}: {begun} {gan.budget:,} {unit}, from {len(images):,} of {size}{parts}",
        file=sys.stderr,
    )


def summary(
    gan: "GAN", callbacks: dict[str, "Callback"], status: str, batch_size: int
) -> dict[str, Any]:
    """How a run ended, and what it cost."""
    device = gan.trainer.strategy.root_device  # the networks have left it when the training ends
    result: dict[str, Any] = {
        "status": status,
        "images": gan.images,
        "device": device_name(device),
        "parameters": {
            name: sum(parameter.numel() for parameter in network.parameters())
            for name, network in (
                ("generator", gan.generator),
                ("discriminator", gan.discriminator),
            )
        },
        **multiply_adds(gan, batch_size),
    }
    for callback in callbacks.values():
        match callback:
            case Evaluation():
                result["figures"] = callback.latest
            case Curves():
                result["seconds"] = callback.seconds
                result["peak_memory_gib"] = callback.peak_memory / 2**30
                result["images_per_second"] = gan.images / max(callback.seconds, 1e-9)
                if callback.joules is not None:
                    result["energy_joules"] = callback.joules
            case Checkpointing() if callback.best is not None:
                figure, images = callback.best
                result["best"] = {"figure": figure, "images": images}
    return result


def multiply_adds(gan: "GAN", batch_size: int) -> dict[str, dict[str, float]]:
    """What the networks' passes and an iteration cost, where it can be counted."""
    from touchstone import cost

    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    try:
        counts = cost.of_game(gan)
        counts["iteration"] = counts.pop("image") * gan.critic_steps * batch_size
        return {"multiply_adds": counts}
    except Exception:  # of any type: a network that cannot be counted is no reason to fail a run
        return {}


def device_name(device: torch.device) -> str:
    """What the networks were trained on, as its maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def last_good(run: Run) -> str:
    """Where the checkpoint before a divergence lies."""
    if not run.checkpoint().exists():
        return "No checkpoint had been written yet"
    return f"The last good checkpoint is {shown(run.checkpoint())}"


def conclude(run: Run, trackers: dict[str, Any]) -> None:
    """Says what a finished run reached, where it lies and how to look at it."""
    rows = list(concluding(run, trackers))
    wide = max(16, *(len(name) + 2 for name, _ in rows))
    print("\n".join(f"{name:{wide}}{text}" for name, text in rows))


def concluding(run: Run, trackers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines of that, each a name and a text."""
    result = run.summary
    if result["status"] == "pruned":
        reason = "half of the sweep's other runs were better there"
        yield "ended early", f"at {result['images']:,} images: {reason}"
    figures = result.get("figures", {})
    # Detection has a hundred, by detector, attack and figure: these are in the record alone.
    told = {name: value for name, value in figures.items() if name.count("/") < 2}
    for number, (name, value) in enumerate(told.items()):
        best = result.get("best") if number == 0 else None
        suffix = f"   (best {best['figure']:.2f} at {best['images']:,} images)" if best else ""
        yield name, f"{value:.2f}{suffix}"
    if more := len(figures) - len(told):
        yield "figures", f"{more} more in {shown(run.path / 'figures.jsonl')}"
    if spent := result.get("privacy"):
        budget = f"epsilon {spent['epsilon']:.2f} at delta {spent['delta']:g}"
        yield (
            "privacy",
            f"{budget}, spent by {spent['updates']:,} updates of noise {spent['noise']:.2f}",
        )
    yield "cost", ", ".join(costs(result))
    yield "run", str(shown(run.path))
    for path in sorted((run.path / "profile").glob("*")):
        yield "profile", str(shown(path))
    # By their names, since `touchstone sample` writes there too.
    for path in sorted((run.path / "samples").glob(f"{'[0-9]' * 9}.png"))[-1:]:
        yield "samples", str(shown(path))
    for path in (run.path / "samples").glob("animation.gif"):
        yield "animation", str(shown(path))
    if trackers.get("trackio") is not None:
        here = "" if run.path.parent == Path("runs") else f" runs_dir={shown(run.path.parent)}"
        yield "dashboard", f"{program('touchstone')} dashboard{here}"
    if trackers.get("wandb") is not None:
        experiment = trackers["wandb"].experiment
        if experiment.url:
            yield "online", experiment.url
        else:
            yield "in a terminal", f"{program('wandb')} leet {shown(run.path / 'wandb')}"
            yield "sync", f"{program('wandb')} sync {shown(Path(experiment.dir).parent)}"
    elif "tensorboard" in trackers:
        folder = shown(run.path / "tensorboard")
        yield "dashboard", f"{program('tensorboard')} --logdir {folder}"


def costs(result: dict[str, Any]) -> Iterator[str]:
    """What a run cost, in words."""
    parameters = (scaled(number) for number in result["parameters"].values())
    yield f"{' + '.join(parameters)} parameters"
    if "multiply_adds" in result:
        counts = result["multiply_adds"]
        yield f"{scaled(counts['generator'])} multiply-adds a sample"
        yield f"{scaled(counts['iteration'])} an iteration"
    if "images_per_second" in result:
        yield f"{result['images_per_second']:,.0f} images/s"
    if "energy_joules" in result:
        yield scaled(result["energy_joules"], "J")
    if "peak_memory_gib" in result:
        yield f"{result['peak_memory_gib']:.1f} GiB"


def scaled(number: float, unit: str = "") -> str:
    """A quantity in three digits, with the prefix of its unit: 12.3 M, 1.05 kJ."""
    prefixes = iter("kMGTPE")
    prefix = ""
    while number >= 999.5:
        number, prefix = number / 1000, next(prefixes)
    return f"{number:.3g} {prefix}{unit}".rstrip()


def shown(path: Path) -> Path:
    """A path as short as it can be written here."""
    path = path.resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def say_interrupted(run: Run, images: int) -> None:
    """Says where a run was left, and how to go on, on standard error."""
    print(
        f"interrupted at {images:,} images; to go on:\n"
        f"    {this_command()} resume={shown(run.path)}",
        file=sys.stderr,
    )


def this_command() -> str:
    """The words that started this command, as they can be typed again here."""
    script = sys.argv[0]
    if script.startswith("touchstone"):
        return script.replace("touchstone", program("touchstone"), 1)
    return f"{program('python')} {shown(Path(script))}"


def program(name: str) -> str:
    """A program of this environment as it can be typed here, whether or not it is activated."""
    folder = Path(sys.executable).parent
    found = shutil.which(name)
    if found is not None and Path(found).parent == folder:
        return name
    here = Path.cwd()
    return str((folder.relative_to(here) if folder.is_relative_to(here) else folder) / name)
