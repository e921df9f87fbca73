"""preconditioner."""
