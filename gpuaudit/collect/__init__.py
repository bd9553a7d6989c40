"""The only code that talks to the world: files, API servers, Prometheus, NVML, sysfs."""
