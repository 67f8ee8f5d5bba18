"""The process boundary: a client that starts, hears and cancels, and the worker that computes."""
