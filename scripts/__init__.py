"""Programs of the repository itself: starting it, generating, measuring. Run with python -m scripts.<name>."""
