"""What the terminal shows: one widget, one file."""
