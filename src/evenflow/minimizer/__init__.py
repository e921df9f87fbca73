"""minimizer."""
