"""Pretrained networks: generators, discriminators, feature nets, and where their weights are."""
