"""Estimators of the Laplacian in high dimension, one module per `kind` of the experiment file."""
