"""From the rows of a CSV file to batches of images and labels."""
