"""How good a model is, told from its logits on pictures that it was not trained on."""
