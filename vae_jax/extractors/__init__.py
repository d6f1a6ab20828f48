"""Fixed functions from images to features, by which sets of images are compared."""
