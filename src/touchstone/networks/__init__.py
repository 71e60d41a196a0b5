"""Generators and discriminators, one file a family, named by the configuration.

Each file has a `Generator`, which maps latents `(N, latent_size)` to samples `(N, C, H, W)` in
[-1, 1] and says its `latent_size` and the `classes` that it knows, and a `Discriminator`, which
maps samples to raw logits `(N,)`; its `examine` gives all that its head says of them. Latents are
always N(0, I): what a generator wants otherwise it makes of them. Their arguments are plain
numbers, names, and networks or parts of them, so that a stored configuration rebuilds them. Inside,
features lie in memory with the channels last, also where a dense layer meets a convolution.
"""
