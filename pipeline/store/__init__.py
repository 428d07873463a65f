"""Versioned Zarr v3 stores of input and target fields: layout, aligned writer, verified reader."""
