"""Black–Scholes–Barenblatt equation."""
