"""All gRPC plumbing of the services, once: errors, identity, policy, peers, telemetry, server."""
