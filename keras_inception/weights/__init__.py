"""The catalogue of released weight sets, and what loads them."""
