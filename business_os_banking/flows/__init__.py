"""What the app does, as plain functions. Pages, webhook, admin and commands call them and add nothing."""
