"""The one door: facts in, state merged, rows and signals out. `lifecycle` and `status` are pure."""
