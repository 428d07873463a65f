"""Published values of the parabolic problems: what a run of one is compared with.

By multilevel Picard iteration: Becker, Braunwarth, Hutzenthaler, Jentzen, von Wurstemberger,
arXiv:2005.10206. Decimal strings as printed; nothing here is computed by this project.
"""

# u(0.3, 0) of the parabolic problems, by equation and dimension.
VALUES = {
    "heat": {10: "0.47006", 100: "0.31674", 1000: "0.28753", 10_000: "0.28433"},
    "allen_cahn": {10: "0.89060", 100: "1.04510", 1000: "1.09100", 10_000: "1.11402"},
    "sine_gordon": {10: "0.3229470", 100: "0.0528368", 1000: "0.0055896", 10_000: "0.0005621"},
}
