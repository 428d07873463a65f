"""The choice of an estimator by measurement."""
