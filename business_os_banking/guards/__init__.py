"""What protects every door of the app: headers of responses, and limits on how often somebody may ask."""
