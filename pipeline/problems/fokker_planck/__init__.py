"""Fokker–Planck equation of an Ornstein–Uhlenbeck process."""
