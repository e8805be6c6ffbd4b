"""What people send: files, and jobs that name them, up to the queue."""
