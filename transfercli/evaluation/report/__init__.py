"""Reports: HTML pages that load nothing from elsewhere, charts and pictures."""
