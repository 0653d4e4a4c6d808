"""The page of `predict --report`: pictures of what was predicted, by class and confidence."""
