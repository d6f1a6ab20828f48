"""Features of images, from networks that others trained."""
