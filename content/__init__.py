"""What is sold: items, renditions and tickets; imports nothing of the gateway."""
