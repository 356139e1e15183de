"""The sections and options that circus 0.19 knows; it takes any other without a word."""

CIRCUS = frozenset(
    {
        *("include", "include_dir", "check_delay", "endpoint", "endpoint_owner"),
        *("pubsub_endpoint", "multicast_endpoint", "stats_endpoint", "statsd", "umask"),
        *("warmup_delay", "httpd", "httpd_host", "httpd_port", "debug", "debug_gc", "pidfile"),
        *("loglevel", "logoutput", "loggerconfig", "fqdn_prefix"),
    }
)

SOCKET = frozenset(
    {
        *("host", "port", "path", "interface", "family", "type", "proto", "backlog"),
        *("so_reuseport", "umask", "replace", "blocking"),
    }
)

HOOKS = frozenset(
    {
        *("before_start", "after_start", "before_spawn", "after_spawn", "before_stop"),
        *("after_stop", "before_signal", "after_signal", "before_reap", "after_reap"),
        "extended_stats",
    }
)

WATCHER = frozenset(
    {
        *("cmd", "args", "numprocesses", "warmup_delay", "working_dir", "shell", "shell_args"),
        *("uid", "gid", "max_retry", "send_hup", "stop_signal", "stop_children", "executable"),
        *("graceful_timeout", "priority", "singleton", "use_sockets", "copy_env", "copy_path"),
        *("max_age", "max_age_variance", "respawn", "autostart", "on_demand", "virtualenv"),
        *("virtualenv_py_ver", "stdin_socket", "close_child_stdin", "close_child_stdout"),
        *("close_child_stderr", "check_flapping"),
        "reload_timeout",  # of our own hooks
    }
)

PLUGIN = (WATCHER - {"cmd", "reload_timeout"}) | {"use", "env"}

STREAMS = ("stdout_stream.", "stderr_stream.")
RLIMIT = "rlimit_"
HOOK = "hooks."

SECTIONS = ("circus", "env")
KINDS = ("watcher:", "socket:", "plugin:", "env:")
