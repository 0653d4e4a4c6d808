"""Label review of `ui`: doubtful labels one by one, and the decisions on them."""
