"""Three-point bounds: Cohn, de Laat and Salmon."""
