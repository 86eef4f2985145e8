"""Grades another SMPP implementation: the conformance cases, played over the wire, and a table of what came back."""
