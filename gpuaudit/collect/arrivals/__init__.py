"""Reading recorded requests: CSV, JSON lines (both plain or gzip) and Parquet, of any size and from anyone."""
