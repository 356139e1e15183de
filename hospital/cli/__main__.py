"""Run hospital-cli as ``python -m hospital.cli``."""

from hospital.cli import run

if __name__ == "__main__":
    run()
