"""Recipes: what each stands for is kept beside it, so that a changed default cannot change it."""

import runpy
from pathlib import Path

import pytest

from touchstone.cli.front import register_resolvers

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_composes_to_what_is_kept_beside_it(recipe: str) -> None:
    register_resolvers()
    composition = runpy.run_path(str(ROOT / "scripts" / "keep_recipes.py"))["composition"]
    kept = ROOT / "experiments" / f"{recipe}.composed.yml"
    assert composition(recipe) == kept.read_text(), (
        f"experiments={recipe} no longer stands for what its figures were reached with. If that is "
        "meant, reach them again and write its composition anew: python scripts/keep_recipes.py"
    )


def test_there_are_recipes() -> None:
    assert "quickstart" in RECIPES
