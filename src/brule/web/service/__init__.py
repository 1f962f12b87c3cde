"""The prediction service: images in, landmarks as JSON out."""
