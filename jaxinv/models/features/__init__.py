"""Frozen nets of images whose features are compared: AlexNet and VGG-16."""
