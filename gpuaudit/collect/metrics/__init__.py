"""Metric samples from files and servers → usage tables.

`store.SampleStore` takes exposition texts, dumps and Prometheus answers; `parts.metrics_part` makes the usage tables,
cards, node presence and the inventory of metrics of them.
"""
