"""One file a result: ``CONFIG`` is the experiment, the docstring is its run card."""
