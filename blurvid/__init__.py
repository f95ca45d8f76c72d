"""Restores a video from one blurred image; learns it from shards that blursynth made."""
