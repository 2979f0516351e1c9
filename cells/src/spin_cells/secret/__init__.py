"""Secrets: connections whose value code may read, where their owner says so. No cell type is made of them; templates name them."""

KIND = "secret"
OPERATION = "secret.read"
TEST = "secret.test"
