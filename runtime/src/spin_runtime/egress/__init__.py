"""Where kernels may connect to: what a workspace allows and this runtime gives, and the proxy that holds them to it."""
