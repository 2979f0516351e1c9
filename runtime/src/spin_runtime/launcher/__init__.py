"""The process that starts kernels, ends them, and gives each the isolation that the runtime was configured with."""
