"""The model side: artifacts, decoding, inference. No queue, no database, no HTTP."""
