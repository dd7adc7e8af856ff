"""The command line, a file a command.

Only words, checks of words and printing belong here: whatever a command does can be done from
Python without it.
"""
