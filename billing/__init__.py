"""Money: tariffs, transfers, charges and their export; imports nothing of the gateway."""
