"""The page `/docs` and the OpenAPI document that it shows."""
