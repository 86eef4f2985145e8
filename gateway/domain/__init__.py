"""Values and rules of the gateway: pure, floor 1; tables rather than ladders of conditions."""
