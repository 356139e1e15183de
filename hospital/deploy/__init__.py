"""hospital-deploy: write the configuration of a machine instead of typing it."""
