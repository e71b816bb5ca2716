"""Files: their names, how they are written and read, and who may write them."""
