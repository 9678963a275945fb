"""The networks behind the models: the only place that imports torch."""
