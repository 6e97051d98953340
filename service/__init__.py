"""Online: an HTTP service over one published artifact."""
