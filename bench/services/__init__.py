"""Real services that peers need, from their ordinary registries, without containers."""
