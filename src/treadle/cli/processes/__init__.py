"""Child processes of the command, which never outlive it."""
