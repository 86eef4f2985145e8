"""The world around the gateway: SMSCs, phones, partners and friends, and a simulated world to run them and the gateway in."""
