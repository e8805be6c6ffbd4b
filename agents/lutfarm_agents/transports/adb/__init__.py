"""Phones over ADB; the only place that imports adb_shell."""
