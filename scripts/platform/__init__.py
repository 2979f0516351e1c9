"""The platform on one machine: `python -m scripts.platform up|demo|down|reset`."""
