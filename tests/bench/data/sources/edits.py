"""Changes of a set's CSV file, for the fixture `edit`."""


def replaced(column, value, at=0):
    """One value of a frame, in the row with the label `at`."""

    def change(table):
        table.loc[at, column] = value
        return table

    return change
