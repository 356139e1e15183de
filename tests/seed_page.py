"""The page of documentation that hospital started from in 2014: its commands and what they print.

Everything stands here as it was printed there, and in its order.
"""

HOSPITAL_CLI = """\
$ hospital-cli hospital.healthchecks.predictable
.
----------------------------------------------------------------------
Ran 1 test in 0.001s

OK
"""

NOSE_CHECKS = """\
$ nosetests --all-modules --attr='is_healthcheck' hospital.healthchecks.predictable
.
----------------------------------------------------------------------
Ran 1 test in 0.001s

OK
"""

NOSE_OTHERS = """\
$ nosetests --all-modules --attr='!is_healthcheck' hospital.healthchecks

----------------------------------------------------------------------
Ran 0 tests in 0.000s

OK
"""

PYTEST_CHECKS = """\
$ py.test -m healthcheck foo
======================================== test session starts ========================================
platform darwin -- Python 2.7.5 -- py-1.4.20 -- pytest-2.5.2
plugins: hospital
collected 3 items

foo/test_foo.py ..

============================= 1 tests deselected by "-m 'healthcheck'" ==============================
============================== 2 passed, 1 deselected in 0.01 seconds ===============================
"""  # noqa: E501 - as it was printed

PYTEST_OTHERS = """\
$ py.test -m "not healthcheck" foo
======================================== test session starts ========================================
platform darwin -- Python 2.7.5 -- py-1.4.20 -- pytest-2.5.2
plugins: hospital
collected 3 items

foo/test_foo.py .

=========================== 2 tests deselected by "-m 'not healthcheck'" ============================
============================== 1 passed, 2 deselected in 0.01 seconds ===============================
"""  # noqa: E501 - as it was printed

SERVE = "hospital-serve hospital.healthchecks.predictable"
SERVING = "Serving on 0.0.0.0 port 1515..."

CURL = """\
$ curl -X GET -I http://localhost:1515/
HTTP/1.0 200 OK
Date: Fri, 28 Feb 2014 13:19:08 GMT
Server: WSGIServer/0.1 Python/2.7.5+
Content-Type: application/json; charset=utf-8
Content-Length: 520
"""

BODY = """\
{
    "status": "pass",
    "details": [
        {
            "test": "Health checks are collected.",
            "status": "pass"
        }
    ],
    "summary": {
        "skip": 0,
        "pass": 1,
        "expected_failure": 0,
        "error": 0,
        "fail": 0,
        "total": 1,
        "unexpected_success": 0
    }
}
"""

GUNICORN_TWO_LINES = """\
export HEALTHCHECKS='hospital.healthchecks.predictable'
gunicorn -w 4 hospital.wsgi:application
"""

GUNICORN = (
    "HEALTHCHECKS='hospital.healthchecks.predictable' gunicorn -w 4 hospital.wsgi:application"
)
GUNICORN_PORT = 8000

CHAUSSETTE_TWO_LINES = """\
export HEALTHCHECKS='hospital.healthchecks.predictable'
chaussette hospital.wsgi.application
"""

CHAUSSETTE = "HEALTHCHECKS='hospital.healthchecks.predictable' chaussette hospital.wsgi.application"
CHAUSSETTE_PORT = 8080

CIRCUS = """\
[watcher:yourproject-healthchecks]
# Service command.
cmd = bin/chaussette --fd $(circus.sockets.yourproject-healthchecks) hospital.wsgi.application
numprocesses = 1
use_sockets = True
copy_env = True
working_dir = path/to/your-virtualenv
# Stdout logs.
stdout_stream.class = FileStream
stdout_stream.filename = /var/log/chaussette/wsgi_healthchecks_out.log
stdout_stream.time_format = [%Y/%m/%d | %H:%M:%S]
# Stderr logs.
stderr_stream.class = FileStream
stderr_stream.filename = /var/log/chaussette/wsgi_healthchecks_err.log
stderr_stream.time_format = [%Y/%m/%d | %H:%M:%S]

[socket:yourproject-healthchecks]
host = 127.0.0.1
port = 2014

[env:yourproject-healthchecks]
HEALTHCHECKS = hospital.healthchecks.predictable
"""
CIRCUS_PORT = 2014
