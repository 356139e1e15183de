"""What all tests share: pytest's fixture for running pytest, and how long a law may take."""

import hypothesis

pytest_plugins = ["pytester"]

# a busy machine is no broken law
hypothesis.settings.register_profile("hospital", deadline=None)
hypothesis.settings.load_profile("hospital")
