"""From a network and images to the states that count."""
