"""Who may: people, sign-in, roles, keys of machines, runtimes' trust, grants."""
