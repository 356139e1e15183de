"""Run hospital-deploy as ``python -m hospital.deploy``."""

from hospital.deploy.command import run

if __name__ == "__main__":
    run()
