"""The real clients of AG-UI and of the AI SDK, in Node, against a server and a worker."""
