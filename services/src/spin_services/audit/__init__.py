"""audit: the tamper-evident log, the receipts of runtimes, and the history of runs."""
