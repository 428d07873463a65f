"""Learn and prove things in high dimension: the pipeline's stages as a library."""
