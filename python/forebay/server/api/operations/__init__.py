"""Routes for operators: health, metrics, load test, workers, the engine's clock."""
