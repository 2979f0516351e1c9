"""The same without a browser: SDK and spinctl."""
