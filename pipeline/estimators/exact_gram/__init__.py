"""The exact operator through the Gram matrix of the first layer."""
