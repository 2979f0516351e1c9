"""Speed and memory beside the peers: `make bench` writes build/bench.json."""
