"""Atlas libraries and installed models: what they are on disk, and how they are made, checked and listed.

Nothing is imported here, so that `manifest` and `models` can be read with the standard library alone.
"""
