"""Where kernels run, by SPIN_ISOLATION: one file per kind, each a provisioner of jupyter_client."""
