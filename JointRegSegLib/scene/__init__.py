"""Slicer's nodes in and out: nodes become a request and its files, a result becomes nodes. No Qt, no torch here."""
