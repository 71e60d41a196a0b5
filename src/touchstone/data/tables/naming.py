"""Columns' names: what they are made of, and how settings of them are written."""

import re


def words(name: str) -> set[str]:
    """The words of a column's name, however they are joined: `lastName`, `last_name`, `LAST NAME`.

    Returns:
        Them in small letters.
    """
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def saying(name: str, setting: str, value: object) -> str:
    """The word of a command line that states a setting of a column."""
    if re.fullmatch(r"[\w-]+", name):
        return f"++data.columns.{name}.{setting}={value}"
    return f"'++data.columns={{{name}: {{{setting}: {value}}}}}'"
