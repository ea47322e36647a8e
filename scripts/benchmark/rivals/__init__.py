"""One file per rival. It has `run(job)`, which computes a cell in a separate process and returns its numbers.

If the rival is a separate program, the file has `command(job)` and `read(job, lines)` instead; `ours.py` is an example.
Such a file imports nothing large, because the process that starts the others imports it.
"""
