"""The tests and what they stand on; nothing of the product imports this package."""
