"""Slicer's nodes in and out: nodes become a request and its files, a result becomes nodes. No Qt, no torch here."""

from .inputs import request_from_nodes

__all__ = ["request_from_nodes"]
