"""Stream processors as Python writes them: pipelines, and the shapes of what the engine says about them."""
