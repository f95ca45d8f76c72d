"""Makes motion-blur data sets from panoramas and high-speed video."""

__version__ = "0.1.0"
