"""Sheets: pictures that show what a generator's latents mean, each idea in a file of its own.

A sheet is a function of a `touchstone.sampling.Sampler` that gives a picture. It imports `layout`
and nothing else of this room.
"""
