"""Who comes in: what a request must be, who sends it, what they may do, and how often."""
