"""How good a model is: metrics, intervals by resampling users, slices and the report that compares rungs."""
