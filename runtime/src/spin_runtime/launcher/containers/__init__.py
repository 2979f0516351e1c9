"""`container`: every kernel a container of its own, through the API of a Docker engine on this machine."""
