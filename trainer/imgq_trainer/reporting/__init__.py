"""A model's evaluation as a page that opens anywhere, as JSON, and as plots."""
