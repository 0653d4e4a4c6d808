"""The page of a sweep: its pictures, and what they show of each key."""
