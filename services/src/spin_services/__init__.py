"""Who decides: auth, workspace, compiler, secrets, audit."""
