"""JointRegSeg: joint registration and segmentation of medical images from one or a few labelled scans."""

__version__ = "0.1.0"
