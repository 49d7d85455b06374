"""What services ask of the world: Protocols, one subject a file."""
