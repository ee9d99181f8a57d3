"""The page: a local web app in which one sees, hears and draws what a convolution does."""
