"""Writes what each recipe composes to beside it, as `experiments/NAME.composed.yml`.

Run it after a change that is meant, of a recipe or a default: the recipes' figures then have to be
reached again.
"""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from touchstone.cli.front import register_resolvers

ROOT = Path(__file__).parents[1]
# Where things lie on a machine, and what a single run is about, is no part of a recipe.
ELSEWHERE = ("runs_dir", "cache_dir", "data_dir", "resume", "rerun", "sweep", "debug")


def composition(recipe: str) -> str:
    """The settings that a recipe stands for, as YAML."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        settings = compose("train", overrides=[f"experiments={recipe}"])
    with open_dict(settings):
        for key in ELSEWHERE:
            del settings[key]
    return OmegaConf.to_yaml(settings)


def main() -> None:
    """Writes the compositions, and says which have changed."""
    register_resolvers()
    for recipe in sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml")):
        kept = ROOT / "experiments" / f"{recipe}.composed.yml"
        text = composition(recipe)
        changed = not kept.exists() or kept.read_text() != text
        kept.write_text(text)
        print(f"{recipe}: {'written anew' if changed else 'as it was'}")


if __name__ == "__main__":
    main()
