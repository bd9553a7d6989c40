"""Who answers requests: engines, gateways, served workloads."""
