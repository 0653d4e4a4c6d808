"""Reports: offline HTML pages, charts and pictures."""
