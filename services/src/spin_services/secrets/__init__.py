"""secrets: connections, their credentials encrypted at rest, and bundles sealed to runtimes."""
