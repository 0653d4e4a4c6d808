"""Evaluation: metrics, confidence intervals, gates and reports, computed from predictions; it loads no model."""
