"""What one would run instead, each in the shape its own users run it; one script a peer."""
