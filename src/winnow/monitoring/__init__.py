"""Watches a running system: skew, drift, calibration, and the figures it exports."""
