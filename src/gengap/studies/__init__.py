"""What a study's files say, checked and turned into cells and packs; no torch."""
