"""The course for a lab, on paper: what the guide asks, how this lab does it, what proves it."""
