"""The file formats of tables: each from a table to bytes; those of our own back again, too.  `known.py` has a line for each."""
