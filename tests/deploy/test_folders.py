"""The folders of a set, where they are not as they have to be."""

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hospital.deploy import folders
from hospital.deploy.site import checkout_site
from hospital.errors import HospitalError
from tests.nobody import NOBODY, as_nobody, needs_root


@needs_root
@pytest.mark.parametrize("of_root", ["var", "var/run", "var/run/beats"])
def test_folders_of_root_have_to_be_given_to_who_renders(of_root: str) -> None:
    """As they are where root once started the set: to make them again is no help."""
    with TemporaryDirectory() as name:  # pytest's own folders are closed
        parts = {each: f"{name}/var/{each}" for each in ("run", "state", "log")}
        site = replace(checkout_site(name), **parts)  # type: ignore[arg-type] # texts, all of them
        for folder in (Path(name), *folders.make(site)[::-1]):
            os.chown(folder, NOBODY, NOBODY)
        culprit = Path(name, of_root)
        os.chown(culprit, 0, 0)
        culprit.chmod(0o744)

        def said() -> str:
            with pytest.raises(HospitalError) as caught:
                folders.make(site)
            return str(caught.value)

        text = as_nobody(said)

    assert text.startswith("cannot give ")
    assert text.endswith(f"; run as root: chown -R nobody {culprit}")
