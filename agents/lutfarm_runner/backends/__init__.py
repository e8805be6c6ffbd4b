"""Runtimes behind one face (backend_interface.py): each module is one, by its name, and imported when it is loaded."""
