"""What circusd itself imports."""
