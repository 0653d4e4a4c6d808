"""Confidence: temperature scaling, selective classification and energy scores."""
