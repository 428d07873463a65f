"""Where the stages run: Ray and Dask clusters on a laptop or inside one allocation."""
