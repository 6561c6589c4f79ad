"""What can go wrong for a reason that the user can mend."""


class AnalysisError(Exception):
    """A mistake in the input: one sentence that says what is wrong, where, and what to do."""


class SettingsError(AnalysisError):
    """A key or value of the report's settings that is not valid."""
