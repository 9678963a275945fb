"""From the log to a release: dataset, fitted ladders, evaluation, assembly."""
