"""The checker behind every annotation under pytest: beartype, with an int accepted where a float is asked."""

from beartype import BeartypeConf, beartype

# By default beartype refuses f(1) where f(x: float); PEP 484, and so pyright, allow it.
typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
