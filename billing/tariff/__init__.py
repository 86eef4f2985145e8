"""What things cost: rules, their versions in time, the rule that fits, and the price it makes."""
