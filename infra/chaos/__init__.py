"""Chaos: the stack under faults, and after each fault the proof that nothing was lost or counted twice."""
