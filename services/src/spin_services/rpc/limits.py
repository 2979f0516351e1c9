"""Sizes and times of calls, the same on both ends."""

# A message of the protocol is 4 MiB at most; the rest is for the request around it.
MAXIMUM_MESSAGE = 4 * 1024 * 1024 + 64 * 1024
DEFAULT_DEADLINE_S = 10.0

CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MAXIMUM_MESSAGE),
    ("grpc.max_send_message_length", MAXIMUM_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]

SERVER_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MAXIMUM_MESSAGE),
    ("grpc.max_send_message_length", MAXIMUM_MESSAGE),
    ("grpc.max_metadata_size", 32 * 1024),
    # A taken port must be an error, not a second server beside the first.
    ("grpc.so_reuseport", 0),
]
