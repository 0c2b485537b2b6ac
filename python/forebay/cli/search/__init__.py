"""What `forebay search` is made of: where it searches, and how it shows what it finds."""
