"""reparametrization."""
