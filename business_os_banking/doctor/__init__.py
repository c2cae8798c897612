"""Finding mistakes of set-up: each one named, with why it matters and what to type."""
