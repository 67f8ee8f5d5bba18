"""The shell's commands, a module each: its arguments, and what it does with them.

Nothing heavy is imported before a command needs it, so that the grammar is there at once.
"""
