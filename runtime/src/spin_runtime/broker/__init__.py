"""The part that holds keys and credentials. Everything else talks to it through `api.Broker`."""
