"""Measurements that anyone can repeat; results go to docs/results/ as the benchmark wrote them."""
