"""What the bundle serves while faults are injected; written into its folder."""

BESIDE = '''
"""hospital's application, and paths that do what a bug in somebody's code would do."""

import ctypes
import os

import gevent

from hospital.logs import get_logger
from hospital.wsgi import application

logger = get_logger("numbered")
last = 0


class Application:
    def __getattr__(self, name):
        return getattr(application, name)

    def __call__(self, environ, start_response):
        act = ACTS.get(environ["PATH_INFO"])
        if act is None:
            return application(environ, start_response)
        text = act(environ["QUERY_STRING"])
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
        start_response("200 OK", headers)
        return [text.encode()]


def hold_the_loop(_query):
    while True:
        pass


def hold_the_gil(_query):
    ctypes.PyDLL(None).sleep(600)


def wait(query):
    open(f"arrived-{os.getpid()}", "a").write(".")
    gevent.sleep(float(query))
    return "waited"


def pid(_query):
    return str(os.getpid())


def log(query):
    """Log numbered lines: how many, and how many bytes of text in each."""
    global last
    number, size = map(int, query.split("x"))
    for _ in range(number):
        last += 1
        logger.info("numbered", n=last, text="ü" * (size // 2))
    return str(last)


ACTS = {
    "/spin": hold_the_loop,
    "/gil": hold_the_gil,
    "/wait": wait,
    "/pid": pid,
    "/log": log,
}
app = Application()
'''

COUNTED = """
import time

import hospital


@hospital.healthcheck
def counted():
    "It notes that it ran, and takes its time."
    with open("runs", "a") as runs:
        runs.write(".")
    time.sleep(1)
"""

SLOW = """
import os
import time

import hospital


@hospital.healthcheck
def slow():
    "It takes as long as a file says."
    open(f"arrived-{os.getppid()}", "a").write(".")
    time.sleep(float(open("seconds").read()))
"""

HOSTILE = """
import sys

import hospital


@hospital.healthcheck
def hostile():
    "It prints what breaks a line, and fails with it."
    text = "a\\r\\nb\\x1b[31mc\\u2028d\\x00e\\x85f\\u202eg"
    print(text)
    print(text, file=sys.stderr)
    print("x" * 1_000_000)
    raise AssertionError(text + "y" * 1_000_000)
"""
