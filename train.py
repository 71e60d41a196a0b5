"""Trains a GAN: python train.py model=dcgan loss=wgan_gp."""

from pathlib import Path

from touchstone.cli.train import main

if __name__ == "__main__":
    main(conf=Path(__file__).parent / "conf")
