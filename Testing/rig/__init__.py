"""Stand-ins for what Slicer would provide, and the words the tests use to say what they need."""
