"""Pictures and tables of results and comparisons."""
