"""Models of other frameworks as Core ML models."""
