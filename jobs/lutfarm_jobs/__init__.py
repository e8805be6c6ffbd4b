"""The shared language of lutfarm: what is asked, what travels, how it fails."""
