"""Training a model and measuring it on a data set: what the commands `train` and `evaluate --model` do.

Nothing is imported here: each command imports the one module that it needs.
"""
