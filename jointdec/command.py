"""What the commands share: Hydra composes, a user's mistake is one sentence, and the exit code tells the outcome.

Exit codes: 0 finished (or a specimen failed as declared), 1 an error of jointdec's, 2 bad configuration or data,
3 diverged, 130 interrupted. (4 is a replay's, see `jointdec.replay`.)
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jointdec.config import GROUPS, Config, conf_folder, leaves, parse
from jointdec.errors import UserError, did_you_mean
from jointdec.problems.compose import keys_of_named, typed_problem, with_problem

EXIT_CODES = {"finished": 0, "specimen_failed": 0, "failed": 1, "diverged": 3, "interrupted": 130}
BAD_INPUT = 2

Job = Callable[[Config, Path, Sequence[str]], str]


def command(job: Job) -> NoReturn:
    """Compose the configuration from the command line, run the job once or once a point of a grid, and exit.

    Args:
        job: takes the checked configuration, the output folder and the overrides that were typed; returns an
            outcome, one of EXIT_CODES. A UserError that it raises is reported as one sentence.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises what it would print as a traceback
    signal.signal(signal.SIGTERM, interrupt)
    codes: list[int] = []

    def run(composed: DictConfig) -> None:
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        try:
            codes.append(EXIT_CODES[job(_checked(composed), folder, typed_problem(typed, settings.overrides.task))])
        except UserError as error:
            codes.append(_report(error))
            _remove_unused(folder)

    typed = list(sys.argv)
    try:
        sys.argv = [typed[0], *with_problem(typed[1:])]
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(run)()
    except UserError as error:
        sys.exit(_report(error))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_report(one_sentence(error)))
    except KeyboardInterrupt:
        sys.exit(EXIT_CODES["interrupted"])
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(
            _report(f"{error.filename} cannot be written ({error.strerror}): choose a folder with hydra.run.dir=...")
        )
    sys.exit(max(codes, default=0))


def exit_code(work: Callable[[], int]) -> int:
    """What the work returns; 2 after telling a user's mistake in one sentence, 130 when it was interrupted."""
    try:
        return work()
    except UserError as error:
        return _report(error)
    except KeyboardInterrupt:
        return EXIT_CODES["interrupted"]


def argument_parser(name: str, description: str | None) -> ArgumentParser:
    """The parser of a command that Hydra does not compose, with its help as it is written."""
    return ArgumentParser(
        prog=f"python -m jointdec.{name}", description=description, formatter_class=RawDescriptionHelpFormatter
    )


class CheckBeforeStart(Callback):
    """Refuses a bad configuration before Hydra has made the output folder; named in conf/config.yaml."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401 (Hydra's own signature)
        """Exit with code 2 and one sentence, if there is something wrong."""
        try:
            _checked(config)
        except UserError as error:
            sys.exit(_report(error))


def one_sentence(error: Exception) -> str:
    """What Hydra says about a wrong command line, as one sentence."""
    text = str(error)
    if found := re.search(r"Could not find '(\w+)/([^']*)'", text):
        group, option = found.groups()
        folder = conf_folder() / group
        files = (folder / option).parent.glob("*.yaml")
        options = sorted(file.relative_to(folder).with_suffix("").as_posix() for file in files)
        known = f"; the options are {', '.join(options)}." if options else f": there is no group {group!r}."
        return f"There is no option {group}={option}{did_you_mean(option, options)}{known}"
    if found := re.search(r"Could not (?:override|append to config\. An item is already at) '([\w.@/-]+)'", text):
        key = found.group(1)
        return f"There is no key {key!r}{did_you_mean(key, _keys())}; --cfg job shows all keys."
    if "Override" in type(error).__name__ or "override" in text.lower():
        first = text.strip().splitlines()[0]
        return f"{first.rstrip('.')}: overrides are GROUP=OPTION or KEY=VALUE, see --help."
    return " ".join(text.split())


def _keys() -> list[str]:
    keys = {"seed", "problem", *GROUPS, "data", "model"}
    for file in conf_folder().glob("*/*.yaml"):
        group = "" if file.parent.name == "problem" else f"{file.parent.name}."
        own = keys_of_named()
        if file.parent.name != "experiment" and not (own and file.parent.name in ("problem", "data", "model")):
            values: Any = OmegaConf.to_container(OmegaConf.load(file))
            keys |= {f"{group}{key}" for key, _ in leaves("", values)}
    return sorted(keys | keys_of_named())


def _remove_unused(folder: Path) -> None:
    """Remove the output folder if nothing but Hydra's own record of the configuration is in it."""
    if [path.name for path in folder.iterdir()] == [".hydra"]:
        shutil.rmtree(folder)


def _checked(composed: DictConfig) -> Config:
    job = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    return parse(job)


def _report(error: Exception | str) -> int:
    print(f"jointdec: {error}", file=sys.stderr)
    return BAD_INPUT


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """A signal's handler: SIGTERM ends a command as Ctrl-C does."""
    raise KeyboardInterrupt
