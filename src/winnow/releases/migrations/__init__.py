"""Steps that bring a registry database from any earlier version to the present one."""
