"""Upper bounds on sphere packing densities: formulations and high-precision solvers.

Nothing here is trusted: a bound counts as proved only after `pipeline.certify` accepted it.
"""
