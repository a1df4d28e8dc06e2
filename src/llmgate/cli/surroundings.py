"""What a command finds where it is started: the configuration file, the ``.env`` file, the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from llmgate.spec import ProviderRow

__all__ = ["expect_dotenv", "find_dotenv", "key_variable", "read_environment"]


def find_dotenv() -> Path | None:
    """The ``.env`` file of the working directory, None when there is none."""
    path = Path(".env")
    return path if path.is_file() else None


def expect_dotenv() -> Path | None:
    """The ``.env`` file of the working directory, there or not, for a process that notices when it comes or changes.

    None where something else is called so, such as the directory of a virtual environment.
    """
    path = Path(".env")
    return path if path.is_file() or not path.exists() else None


def read_environment() -> Mapping[str, str]:
    """The process's environment, completed from ``.env``; a variable that is set wins over the file.

    Raises:
        ConfigError: the file cannot be read.
    """
    # Late: reading a configuration takes a YAML reader, which `llmgate --help` does not need.
    from llmgate.config.environment import read_dotenv
    from llmgate.config.problems import Problems

    path = find_dotenv()
    if path is None:
        return dict(os.environ)
    problems = Problems()
    variables, _ = read_dotenv(path, problems)
    problems.raise_if_any()
    return {**variables, **os.environ}


def key_variable(row: ProviderRow, environment: Mapping[str, str]) -> str | None:
    """The variable that makes a provider usable without further settings, None when it is not."""
    if row.relay_only or row.base_url is None:
        return None
    return next((name for name in row.key_variables if environment.get(name)), None)
