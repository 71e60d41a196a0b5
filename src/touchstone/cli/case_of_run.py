"""The audit of a run: its averaged generator, against the records that it was shown and others."""

from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from touchstone.cli.case import Case, extracted, extractor_of, flat, only_tables, sides_of
from touchstone.cli.front import plain
from touchstone.cli.retraining import Retraining
from touchstone.cli.saved import refuse_strangers, settings_of
from touchstone.data.split import Split
from touchstone.data.subset import subset
from touchstone.data.tables.rows import Rows
from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.metrics.sets import Drawn, ImageSet
from touchstone.privacy.attacks.discriminator import Discriminator
from touchstone.privacy.audit import Planting, Promise, Shadows, Sides, WhiteBox
from touchstone.privacy.canaries import Canaries, canaries
from touchstone.privacy.logits import Logits
from touchstone.privacy.tables import Tables
from touchstone.tracking.run import Run
from touchstone.trained import Trained, load, weights_hash


def of_run(settings: DictConfig, run: Run) -> Case:
    """What a run made, beside the records that it was shown, and its test split.

    Raises:
        UsageError: a run that cannot be read, or settings that are not for its records.
    """
    saved = settings_of(run)
    refuse_strangers(saved, run)
    saved.update(cache_dir=settings.cache_dir, data_dir=settings.data_dir)
    kept = {"encoder": run.table} if run.table.exists() else {}
    source = instantiate(saved.data.load)
    members = subset(source(split="train", **kept), saved.get("subset"))
    holdout = source(split="test", **kept)
    extractor = None
    if not isinstance(members, Rows):
        only_tables(settings)
        extractor = extractor_of(members, settings.extractor or saved.protocol.extractor)

    trained = load(run.path, settings.checkpoint)
    number = min(len(members), settings.synthetics)
    drawn = drawn_by(trained.generator, number, settings)
    made = ImageSet(drawn, "synthetic records").pixels()
    taken = Sides(flat(members), flat(holdout), members.normalize(made).flatten(1))
    protocol = {
        "data": members.content_hash,
        "subset": saved.get("subset"),
        "holdout_split": "test",
        "generator": weights_hash(trained.generator),
        "images": trained.images,
    }
    tables, sides = None, taken
    if isinstance(members, Rows):
        tables = tables_of(settings, members, holdout, made)
        sides = sides_of(tables)
    elif extractor is not None:
        pictures = {"members": members, "holdout": holdout, "synthetic": drawn}
        sides = extracted(pictures, extractor, settings)
        protocol["extractor"] = extractor.fingerprint
    promise = promised(run, saved)
    white_box, notes = discriminator(trained, members, taken, promise)
    more = Trainings(settings, saved, members, holdout, taken)
    return Case(
        f"the run {run.name}",
        sides,
        protocol,
        tables,
        white_box,
        more.shadows() if settings.shadows else None,
        more.planting() if settings.canaries else None,
        promise,
        notes,
    )


def drawn_by(generator: torch.nn.Module, number: int, settings: DictConfig) -> Drawn:
    """What a generator makes."""
    placed = generator.to(settings.device)
    return Drawn(placed, number, seed=settings.seed, device=settings.device)


def tables_of(settings: DictConfig, members: Rows, holdout: Rows, made: Tensor) -> Tables:
    """A table's records as frames, those made out of encoded rows."""
    asked = plain(settings)["sensitive"]
    synthetic = members.encoder.decode(made)
    return Tables.of(
        {"real": members.frame, "holdout": holdout.frame, "synthetic": synthetic},
        members.encoder.schema,
        sensitive=None if asked is None else tuple(asked),
        groups=settings.groups,
    )


def promised(run: Run, saved: DictConfig) -> Promise | None:
    """What a run has spent of its privacy, or may spend before its end; None: no promise."""
    if not saved.get("privacy"):
        return None
    kept = run.summary.get("privacy") or plain(saved)["privacy"]
    return Promise(float(kept["epsilon"]), float(kept["delta"]))


def discriminator(
    trained: Trained, members: Split, taken: Sides, promise: Promise | None
) -> tuple[WhiteBox | None, list[str]]:
    """The attack by the discriminator, or a note that says why it is left out."""
    if promise is not None:
        why = "that of a private run is not released with it"
        return None, [f"The discriminator did not attack: {why}."]
    if trained.discriminator is None:
        return None, []
    layout = members.layout if isinstance(members, Rows) else ()
    try:
        attack = Discriminator(Logits(trained.discriminator, members.shape, layout))
    except UsageError as error:  # it judges a sample by its label
        return None, [f"The discriminator did not attack: {error}."]
    return WhiteBox(attack, taken), []


class Trainings:
    """Further trainings like the run's: of shadow models, and with canaries.

    Args:
        settings: of the audit.
        saved: of the run.
        members: the records that it was trained on.
        holdout: others.
        taken: all records as its networks take them.
    """

    def __init__(
        self,
        settings: DictConfig,
        saved: DictConfig,
        members: Split,
        holdout: Split,
        taken: Sides,
    ) -> None:
        self._settings, self._members, self._holdout = settings, members, holdout
        self._taken = taken
        number, folder = settings.shadows + (settings.canaries > 0), Path(settings.cache_dir)
        self._retrained = Retraining(saved, settings.device, folder / "retrained", number)

    def shadows(self) -> Shadows:
        """Those that have each other people among the members."""
        return Shadows(self._of_others, self._taken, self._settings.shadows)

    def planting(self) -> Planting:
        """The one with made-up rows among the members.

        Raises:
            UsageError: the records are no table.
        """
        number, members = self._settings.canaries, self._members
        if not isinstance(members, Rows):
            raise UsageError(f"canaries={number}: they are rows of a table")
        encoder = members.encoder
        columns = [slot.stop - slot.start for slot in encoder.places.values()]
        made = canaries(members.values, number, columns, self._settings.seed)
        frame = encoder.decode(made.records).select(members.frame.columns)
        # All are encoded at once: by itself, a row may have its numbers in other modes.
        rows = Rows.of(frame, encoder, conditional=len(members.conditions) > 0)
        known = Canaries(rows.values, made.included)
        records = members.join(rows.take(known.included.nonzero().flatten()))
        seed = derive(self._settings.seed, "canaries", "training")
        return Planting(known, lambda: self._made(records, seed), self._taken.holdout)

    def _of_others(self, left_out: Tensor, let_in: Tensor, seed: int) -> Tensor:
        kept = torch.ones(len(self._members), dtype=torch.bool)
        kept[left_out] = False
        stay = self._members.take(kept.nonzero().flatten())
        return self._made(stay.join(self._holdout.take(let_in)), seed)

    def _made(self, records: Split, seed: int) -> Tensor:
        """What a generator makes that is trained on records, as the networks take it."""
        number = len(self._taken.synthetic)
        drawn = drawn_by(self._retrained(records, seed), number, self._settings)
        made = ImageSet(drawn, "synthetic records").pixels()
        return self._members.normalize(made).flatten(1)
