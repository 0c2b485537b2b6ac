"""A directory that events are in until the server has them, so that they outlive their process."""
