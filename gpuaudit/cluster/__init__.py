"""The snapshot of one or more clusters: frozen records (inventory) and pandas tables (usage). No IO, units in names."""
