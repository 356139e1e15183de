"""What all tests share: pytest's fixture for running pytest, and how long a law may take."""

import os
import signal

import hypothesis

pytest_plugins = ["pytester"]

# a busy machine is no broken law
# CI tries the same examples each time: a new one that breaks a law is found at a desk
hypothesis.settings.register_profile(
    "hospital", deadline=None, derandomize=os.environ.get("CI") == "true"
)
hypothesis.settings.load_profile("hospital")

# A shell that starts the tests in the background, or nohup, lets signals be ignored, and every
# program that a test starts would inherit that.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        is_interrupt = number is signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
