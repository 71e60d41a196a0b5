"""The pair for rows of a table (Xu et al. 2019, CTGAN, arXiv 1907.00503, section 4.4).

A row is `(F,)`, made of blocks: of a number a scalar in [-1, 1] and its modes, one-hot; of a
category its values, one-hot. A condition is one value of one category, C of them in all.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from touchstone.networks.heads import Head, Logit, Verdict

Layout = Sequence[tuple[str, int]]

TEMPERATURE = 0.2  # of the softmax, section 4.4


class Generator(nn.Module):
    """Residual layers that widen their input, and an activation for each block.

    `h1 = h0 + ReLU(BN(FC(h0)))`, + a concatenation; tanh for scalars, Gumbel softmax for choices.
    All of a row's chance is in its latent: of `latent_size` normal numbers the first `noise` are
    the paper's z, then one for each choice becomes its Gumbel noise, and where the generator is
    conditional one more draws the condition that nobody asked for.

    Args:
        noise: numbers in z; the paper's is 128.
        layout: the row's blocks, `(kind, size)`: `("number", K)` or `("category", K)`.
        frequencies: how likely each condition is, `(C,)`; none: the generator is unconditional.
        width: units of each layer; the paper's is 256.
        layers: how many; the paper has 2.

    Attributes:
        latent_size: numbers in a latent.
    """

    frequencies: Tensor

    def __init__(
        self,
        noise: int,
        layout: Layout,
        frequencies: Sequence[float] = (),
        width: int = 256,
        layers: int = 2,
    ) -> None:
        super().__init__()
        self.noise = noise
        self.blocks = Blocks(layout)
        conditional = len(frequencies) > 0
        self.latent_size = noise + self.blocks.choices + conditional
        self.register_buffer("frequencies", torch.tensor(list(frequencies)))
        widths = [noise + len(frequencies) + width * layer for layer in range(layers + 1)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True))
            for inputs in widths[:-1]
        )
        self.row = nn.Linear(widths[-1], self.blocks.width)

    def forward(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` and conditions `(N,)` to rows `(N, F)` in [-1, 1]."""
        hidden = latents[:, : self.noise]
        if len(self.frequencies):
            if conditions is None:
                conditions = self.drawn(latents[:, -1])
            given = one_hot(conditions, len(self.frequencies)).to(hidden)
            hidden = torch.cat([hidden, given], dim=1)
        for layer in self.layers:
            hidden = torch.cat([hidden, layer(hidden)], dim=1)
        row: Tensor = self.blocks(self.row(hidden), self.gumbel_noise(latents))
        return row

    def gumbel_noise(self, latents: Tensor) -> Tensor:
        """That of the choices, `(N, choices)`, in latents `(N, latent_size)`."""
        return gumbel(latents[:, self.noise : self.noise + self.blocks.choices])

    def logits(self, rows: Tensor, latents: Tensor) -> Tensor:
        """The logits `(N, choices)` that became rows `(N, F)`, up to a constant for each choice.

        From `d = softmax((l + g) / tau)` follows `l = tau log d - g`, and g is in the latents.
        """
        chosen = rows.index_select(1, self.blocks.places).float()
        # A softmax is 0 where another value is 17 ahead.
        logarithms = (chosen + torch.finfo(chosen.dtype).tiny).log()
        return TEMPERATURE * logarithms - self.gumbel_noise(latents)

    def drawn(self, normal: Tensor) -> Tensor:
        """Conditions `(N,)`, as likely as they are in the data, from N(0, 1) `(N,)`."""
        uniform = torch.special.ndtr(normal)
        cumulated = self.frequencies.cumsum(0)
        return torch.searchsorted(cumulated / cumulated[-1], uniform).clamp(
            max=len(self.frequencies) - 1
        )


class Discriminator(nn.Module):
    """Two layers on packs of rows with their conditions, and the head (PacGAN, Lin et al. 2018).

    Args:
        layout: the row's blocks.
        conditional: whether rows come with a condition.
        pack: rows that are judged at once; the paper's is 10.
        width: units of each layer; the paper's is 256.
        dropout: the share of each layer's units set to 0; 0.5 in the authors' code.
        head: makes the verdict.

    Attributes:
        mixes_samples: that a logit is of several rows.

    Raises:
        ValueError: `pack` is less than 1.
    """

    def __init__(
        self,
        layout: Layout,
        conditional: bool = False,
        pack: int = 10,
        width: int = 256,
        dropout: float = 0.5,
        head: Head = Logit,
    ) -> None:
        super().__init__()
        if pack < 1:
            raise ValueError(f"model.pack={pack}: it has to be 1 row or more.")
        self.pack = pack
        self.mixes_samples = pack > 1
        self.conditions = sum(size for kind, size in layout if kind == "category") * conditional
        row = Blocks(layout).width + self.conditions
        self.layers = nn.Sequential(
            nn.Linear(pack * row, width),
            nn.LeakyReLU(0.2),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Dropout(dropout),
        )
        self.head = head(width)

    def examine(self, rows: Tensor, conditions: Tensor | None = None) -> Verdict:
        """Gives `features` `(N / pack, width)` of rows `(N, F)`, and the head's verdict."""
        if self.conditions:
            assert conditions is not None
            rows = torch.cat([rows, one_hot(conditions, self.conditions).to(rows)], dim=1)
        features: Tensor = self.layers(rows.reshape(len(rows) // self.pack, -1))
        return {"features": features, **self.head(features)}

    def forward(self, rows: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Maps rows `(N, F)` and conditions `(N,)` to raw logits `(N / pack,)`."""
        return self.examine(rows, conditions)["logits"]


class Blocks(nn.Module):
    """The activations of a row, block by block.

    Args:
        layout: the blocks.

    Attributes:
        width: F, the numbers in a row.
        choices: how many of them belong to one-hot blocks.
        places: which these are, int64 `(choices,)`.
    """

    places: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.kinds = [kind for kind, _ in layout]
        self.sizes = [size for _, size in layout]
        self.choices = sum(self.sizes)
        self.width = self.choices + self.kinds.count("number")
        places, start = list[int](), 0
        for kind, size in layout:
            start += kind == "number"
            places += range(start, start + size)
            start += size
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def forward(self, rows: Tensor, noise: Tensor) -> Tensor:
        """Maps numbers `(N, F)` and Gumbel noise `(N, choices)` to rows `(N, F)` in [-1, 1]."""
        sizes = [self.width - self.choices, self.choices]
        scalars, choices = torch.split(rows, sizes, dim=1)
        places = iter(torch.split(scalars.tanh(), 1, dim=1))
        chosen = torch.split((choices + noise) / TEMPERATURE, self.sizes, dim=1)
        parts = list[Tensor]()
        for kind, choice in zip(self.kinds, chosen, strict=True):
            parts += [next(places)] if kind == "number" else []
            parts += [choice.softmax(dim=1)]
        return torch.cat(parts, dim=1)


def gumbel(normal: Tensor) -> Tensor:
    """Standard Gumbel noise from N(0, 1), by its distribution function: `-log(-log Phi(x))`."""
    distribution: Tensor = torch.special.log_ndtr(normal)
    return -(-distribution).log()
