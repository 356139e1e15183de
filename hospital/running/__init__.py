"""Run checks: in wards, which can be killed, or in threads of this process."""
