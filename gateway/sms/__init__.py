"""Short messages as octets: alphabets, user data headers, splitting and joining; pure, floor 0."""
