"""Bank connections for Django sites, through the Business OS banking API."""

__version__ = "0.1.0"
