"""Sinks for numbers and pictures besides the run folder: TensorBoard, Weights & Biases."""
