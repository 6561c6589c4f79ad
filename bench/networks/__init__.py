"""From a name to exactly that network: the table of architectures, their weights, what of them learns."""
