"""The shared state: settings, tables, job and chunk life cycle, results, registry, queue names."""
