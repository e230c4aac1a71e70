"""Where numbers and pictures go besides the run folder: TensorBoard, Weights & Biases."""
