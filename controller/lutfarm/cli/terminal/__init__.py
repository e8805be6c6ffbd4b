"""How things look: tables and keys laid out for the width there is, progress, how a job ended, interrupts."""
