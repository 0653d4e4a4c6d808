"""Fine-tune image classifiers by transfer learning, from a shell, in CI and from cron."""

__version__ = "0.1.0"
