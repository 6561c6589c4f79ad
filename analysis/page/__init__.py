"""What a reader sees: the sections of the report and its page."""
