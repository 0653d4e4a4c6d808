"""Training on several devices: which processes take part, and what each of them does."""
