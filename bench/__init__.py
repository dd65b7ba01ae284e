"""What `make bench` runs: imgq beside the machine's limit and what one would run instead."""
