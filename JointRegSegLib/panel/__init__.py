"""What the user sees and clicks: the only room that imports qt. It computes nothing."""
