"""Figures: `table()` gives exactly the points, `draw(table, ax)` draws them."""
