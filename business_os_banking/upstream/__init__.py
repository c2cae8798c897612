"""The only place that speaks to Business OS: HTTP, the calls, and what its answers mean."""
