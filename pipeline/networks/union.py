"""The networks that a PINN may name: a line a kind."""

from pipeline.networks.mlp.config import MLP

AnyNetwork = MLP
