"""teleport."""
