import re
from dataclasses import replace

import pytest
import torch

from touchstone.privacy.audit import Audit, Leakage, Sides, audit
from touchstone.privacy.intervals import Estimate
from touchstone.privacy.membership import Figures, Finding, Membership
from touchstone.privacy.page import page, verdict
from touchstone.privacy.tables import Tables, schema_of

from .test_audit import people  # type: ignore[import-not-found]
