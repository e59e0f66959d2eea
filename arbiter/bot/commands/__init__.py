"""The commands, one family a file: arguments -> a call of the core -> a view. The table of all of them is `table.py`."""
