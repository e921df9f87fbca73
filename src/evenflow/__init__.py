"""evenflow: minimise energies on sparse graphs by a change of variables that evens out the flow."""
