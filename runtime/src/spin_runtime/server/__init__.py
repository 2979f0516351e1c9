"""The runtime's door: HTTP, the WebSocket, frames in and out. It holds no keys."""
