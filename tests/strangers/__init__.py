"""Modules, data and features of Lightning's that know nothing of us, run through the real command."""
