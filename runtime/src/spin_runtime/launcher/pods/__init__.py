"""Kernels as pods of a Kubernetes cluster."""
