"""What all training procedures share, from subjects on disk to a model package.

Nothing is imported here, so that `card` and `subjects` can be read where PyTorch is not installed.
"""
