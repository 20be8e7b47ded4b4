"""The case gallery: its figures, pictures and page."""
