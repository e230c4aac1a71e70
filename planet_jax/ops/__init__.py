"""Array operations that know nothing of models: convolutions, slices, images."""
