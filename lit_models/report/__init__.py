"""Makes a page about one run, or about several: plain data go in, and one HTML file without a network comes out.

Nothing here knows the Trainer or a module. `lit_models/runs/reporting.py` collects what a page shows.
"""
