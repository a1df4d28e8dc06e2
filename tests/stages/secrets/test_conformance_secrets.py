"""The built-in secret stores keep what the kit asks of any."""

from __future__ import annotations

import attrs

from llmgate.stages.secrets.env import Env, EnvConfig
from llmgate.stages.secrets.file import File, FileConfig
from llmgate.testing.conformance import SecretConformance


class TestEnv(SecretConformance):
    stage_class = Env
    multiline = True

    def make_context(self, directory, clock):
        self.environment = {}
        return attrs.evolve(super().make_context(directory, clock), environment=self.environment)

    def plant(self, context, path, value):
        self.environment[path] = value

    def uproot(self, context, path):
        del self.environment[path]


class TestEnvWithPrefix(TestEnv):
    config = EnvConfig(prefix="PROD_")

    def plant(self, context, path, value):
        self.environment["PROD_" + path] = value

    def uproot(self, context, path):
        del self.environment["PROD_" + path]


class TestEnvFromDotenv(SecretConformance):
    stage_class = Env

    def make_context(self, directory, clock):
        self.file = directory / ".env"
        return attrs.evolve(super().make_context(directory, clock), dotenv=self.file)

    def plant(self, context, path, value):
        quoted = "".join(f"\\{char}" if char in '\\"$' else char for char in value)
        self.file.write_text(f'OTHER=1\n{path}="{quoted}"\n')

    def uproot(self, context, path):
        self.file.write_text("OTHER=1\n")


class TestFile(SecretConformance):
    stage_class = File
    multiline = True

    def plant(self, context, path, value):
        (context.directory / path).write_text(value + "\n")

    def uproot(self, context, path):
        (context.directory / path).unlink()


class TestFileInDirectory(TestFile):
    config = FileConfig(directory="mounted")

    def plant(self, context, path, value):
        (context.directory / "mounted").mkdir(exist_ok=True)
        super().plant(context, "mounted/" + path, value)

    def uproot(self, context, path):
        super().uproot(context, "mounted/" + path)
