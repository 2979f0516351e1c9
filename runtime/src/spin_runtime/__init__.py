"""Who acts: server, session, kernels, broker. docs/architecture.md says which part may use which."""
