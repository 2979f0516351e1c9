"""The web client's files, as the gateway's upstream."""
