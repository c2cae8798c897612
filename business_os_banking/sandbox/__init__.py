"""A fake Business OS API and a fake bank, for demos and tests. Never for production."""
