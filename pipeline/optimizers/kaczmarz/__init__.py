"""Natural-gradient steps in sample space."""
