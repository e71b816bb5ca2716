"""The generated pages and pictures of docs/."""
