"""Many targets, one run each: here, on several machines, and going on where an earlier call stopped."""
