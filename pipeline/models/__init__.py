"""Networks, one module per `kind` of the experiment file."""
