"""What may stand in a job's file, part by part (spec.py has the whole), and which files it names."""
