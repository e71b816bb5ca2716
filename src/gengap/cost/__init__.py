"""What a study costs on this machine."""
