"""The workspace service: workspaces, notebooks, runtimes' registrations, sessions, and a stream of what changes."""
