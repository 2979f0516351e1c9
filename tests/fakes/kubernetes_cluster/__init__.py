"""A double of a Kubernetes cluster: its API over TLS, and a node that runs pods as containers of the tests' own engine."""
