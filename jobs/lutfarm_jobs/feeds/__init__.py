"""What the inputs of model files hold: what a job gives, and what they hold where it gives nothing."""
