"""Jupyter kernels behind one interface, `api.Kernel`."""
