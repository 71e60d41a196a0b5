"""Generators and discriminators, one file a family, named by the configuration.

Each file has a `Generator`, which maps latents `(N, latent_size)` to samples `(N, C, H, W)` in
[-1, 1] and says its `latent_size`, and a `Discriminator`, which maps samples to raw logits `(N,)`.
Their arguments are plain numbers and names, so that a stored configuration rebuilds them. Inside,
features lie in memory with the channels last, also where a dense layer meets a convolution.
"""
