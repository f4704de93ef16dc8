"""Plans on disk, in a folder of this user: pure plans, as `trtexec --loadEngine` takes them, and JSON beside each.

    FOLDER/DIGEST.json            what a plan is: its key, size and SHA-256, how it was built, whether it was verified
    FOLDER/DIGEST.SHA-256.plan    the plan

DIGEST is that of the key. The JSON appears last and names its plan, so that a reader sees one plan whole while another
process stores the next. Plans carry code: none is given out but what this user stored there,
byte by byte.

An engine asks for the plans of a graph, takes the one that covers the shapes at hand, and loads it:

    cache = PlanCache.of_user()
    for plan in cache.plans_for(graph_sha256(graph), tensorrt, target):
        if covers(plan.key.profile, shapes):
            data = cache.load(plan)
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from edgecodec.cache_folder import cache_folder
from edgecodec.errors import BadModel, CannotRead, CannotWrite
from edgecodec_engines.tensorrt_plans import private_folder
from edgecodec_engines.tensorrt_plans.plan_key import SCHEMA, PlanKey, Target, TensorRT, key_of

_LARGEST_JSON = 1 << 20  # bytes
_LARGEST_PLAN = 1 << 36  # bytes
_BLOCK = 1 << 20  # bytes
_DIGITS = 32  # of a digest in names of files
_WORK = ".building-"
_LOCK = "lock"
_TIMINGS = ".timings"


@dataclass(frozen=True)
class Plan:
    """A plan in a cache. file: of the plan, in the cache's folder. size: bytes. sha256: 64 hexadecimal digits.

    about: what people want to know of it, such as the bundle, the graph's file and the seconds that building took.
    verification: what was found when golden pictures were decoded with it, like "verified", or None before that.
    """

    key: PlanKey
    file: str
    size: int
    sha256: str
    about: Mapping[str, Any]
    verification: str | None = None

    def values(self) -> dict[str, Any]:
        """As JSON has them."""
        return {**{each.name: getattr(self, each.name) for each in fields(self)}, "key": self.key.values()}


@dataclass(frozen=True)
class Pruned:
    """What was removed from a cache: files, and their bytes."""

    files: int
    bytes: int


def read_description(path: Path) -> Plan:
    """What a JSON file says of a plan beside it. Raises BadModel where it cannot be read, or says no such thing."""
    try:
        with private_folder.opened(path) as file:
            values = json.loads(file.read(_LARGEST_JSON))
        plan = Plan(**{**values, "key": key_of(values["key"])})
        _check_types(plan)
    except OSError as error:
        problem = f"the description of the plan cannot be read: {error.strerror or error}"
        raise BadModel(problem, where=str(path)) from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise BadModel(f"does not describe a plan: {error}", where=str(path)) from error
    return plan


def _check_types(plan: Plan) -> None:
    """Raise ValueError for what is of another type, or beyond what it can be."""
    texts = plan.file, plan.sha256, plan.verification or ""
    if not (all(isinstance(each, str) for each in texts) and isinstance(plan.about, dict)):
        raise ValueError("it has values of other types")
    if os.path.basename(plan.file) != plan.file or "\0" in plan.file:
        raise ValueError(f"its file is {plan.file!r}, not one beside it")
    if type(plan.size) is not int or not 0 < plan.size <= _LARGEST_PLAN:
        raise ValueError(f"its plan has {plan.size!r} bytes")


class PlanCache:
    """The plans in one folder. Several processes may use it at a time. Every call raises CannotRead where the folder
    belongs to another user, or where others may write to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of_user(cls) -> PlanCache:
        """`plans` in `cache_folder`. Raises CannotRead where there is no home."""
        try:
            return cls(cache_folder() / "plans")
        except RuntimeError as error:
            raise CannotRead("there is no home folder for plans", hint="set HOME or XDG_CACHE_HOME") from error

    def find(self, key: PlanKey) -> Plan | None:
        """The plan with this key. None where there is none, and where what is there is damaged or of another version.

        Only `load` looks into the plan itself.
        """
        if not self._exists():
            return None
        try:
            return self._described(self._json(key))
        except BadModel:
            return None

    def find_whole(self, key: PlanKey) -> Plan | None:
        """The plan with this key if it is there, byte by byte."""
        plan = self.find(key)
        if plan is not None:
            try:
                self.load(plan)
            except BadModel:
                return None
        return plan

    def plans_for(self, graph: str, tensorrt: TensorRT, target: Target) -> list[Plan]:
        """The plans of a graph, by its `graph_sha256`, that run on this TensorRT and target, the newest first.

        They differ in profile and options.
        """
        return [
            plan
            for plan in self.plans()
            if (plan.key.graph, plan.key.tensorrt, plan.key.target) == (graph, tensorrt, target)
        ]

    def plans(self) -> list[Plan]:
        """All that can be read, the newest first."""
        found = []
        for path in self._descriptions():
            with contextlib.suppress(BadModel, OSError):
                found.append((path.stat().st_mtime_ns, self._described(path)))
        return [plan for _, plan in sorted(found, key=lambda each: -each[0])]

    def path(self, plan: Plan) -> Path:
        """Of a plan's file, for messages and for other programs; an engine takes what `load` gives."""
        return self.folder / plan.file

    def load(self, plan: Plan) -> bytes:
        """The bytes of a plan, which are those that were stored. Raises BadModel where they are not, or not there."""
        private_folder.check(self.folder)
        path = self.path(plan)
        hint = "edgecodec build makes it again"
        try:
            with private_folder.opened(path) as file:
                data = file.read(plan.size + 1)
        except OSError as error:
            raise BadModel(f"the plan cannot be read: {error.strerror or error}", where=str(path), hint=hint) from error
        if hashlib.sha256(data).hexdigest() != plan.sha256:
            raise BadModel("the plan is not the one that was stored", where=str(path), hint=hint)
        return data

    def store(self, key: PlanKey, built: Path, about: Mapping[str, Any]) -> Plan:
        """Take the file `built`, of a folder that `work_folder` gave, as the plan with this key.

        Another one with this key is replaced. Raises CannotWrite.
        """
        private_folder.make(self.folder)
        with self._writing():
            before = self.find(key)
            size, sha256 = _hash(built)
            plan = Plan(key, f"{key.digest[:_DIGITS]}.{sha256[:_DIGITS]}.plan", size, sha256, about)
            os.chmod(built, 0o600)
            os.replace(built, self.path(plan))
            self._write(plan)
            if before is not None and before.file != plan.file:
                with contextlib.suppress(OSError):
                    self.path(before).unlink()
        return plan

    def record_verification(self, plan: Plan, verification: str) -> Plan:
        """Write beside a plan what was found with it, unless it was replaced since. Raises CannotWrite."""
        verified = replace(plan, verification=verification)
        with self._writing():
            current = self.find(plan.key)
            if current is not None and current.file == plan.file:
                self._write(verified)
        return verified

    def timings(self, tensorrt: TensorRT, target: Target) -> Path:
        """The file for what TensorRT has measured on a target: it makes later builds faster, and alike."""
        of = hashlib.sha256(json.dumps([asdict(tensorrt), asdict(target)]).encode()).hexdigest()
        return self.folder / f"{of[:_DIGITS]}{_TIMINGS}"

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A new folder beside the plans, which is gone afterwards, to build in.

        Those of processes that were killed are removed first.
        """
        private_folder.make(self.folder)
        self._remove_abandoned()
        try:
            work = Path(tempfile.mkdtemp(prefix=_WORK, dir=self.folder))
        except OSError as error:
            raise CannotWrite(error.strerror or str(error), where=str(self.folder)) from error
        try:
            # Locked before it has its name, by which others find it.
            with open(work / f"{_LOCK}.new", "wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.replace(lock.name, work / _LOCK)
                yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def prune(self, wanted: Callable[[Plan], bool]) -> Pruned:
        """Remove all plans but those that are `wanted`, and everything that is damaged or belongs to no plan.

        What another process is building stays. Raises CannotWrite.
        """
        if not self._exists():
            return Pruned(0, 0)
        self._remove_abandoned()
        removed = freed = 0
        with self._writing():
            kept = {path for plan in self.plans() if wanted(plan) for path in self._files_of(plan)}
            for path in sorted(self.folder.iterdir()):
                found = path.lstat()
                # What TensorRT has measured makes the plans to come like those that are there.
                is_kept = path in kept or path.name == _LOCK or (kept and path.suffix == _TIMINGS)
                if not is_kept and not stat.S_ISDIR(found.st_mode):
                    path.unlink()
                    removed, freed = removed + 1, freed + found.st_size
        return Pruned(removed, freed)

    # ---- inside ----

    def _exists(self) -> bool:
        if not os.path.exists(self.folder):  # nor where nobody may look
            return False
        private_folder.check(self.folder)
        return True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One process at a time changes what is there; readers see it before or after. Raises CannotWrite."""
        try:
            with open(self.folder / _LOCK, "ab", opener=_privately) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise CannotWrite(error.strerror or str(error), where=str(self.folder)) from error

    def _files_of(self, plan: Plan) -> set[Path]:
        """None for a plan that is not there as a whole."""
        try:
            whole = self.path(plan).lstat().st_size == plan.size
        except OSError:
            whole = False
        return {self._json(plan.key), self.path(plan)} if whole else set()

    def _json(self, key: PlanKey) -> Path:
        return self.folder / f"{key.digest[:_DIGITS]}.json"

    def _descriptions(self) -> list[Path]:
        return sorted(self.folder.glob("*.json")) if self._exists() else []

    def _described(self, path: Path) -> Plan:
        """What a JSON file says. Raises BadModel where it is damaged, of another schema, or named after another key."""
        plan = read_description(path)
        if plan.key.schema != SCHEMA:
            raise BadModel(f"does not describe a plan: it is of schema {plan.key.schema}", where=str(path))
        named = re.fullmatch(rf"{plan.key.digest[:_DIGITS]}\.[0-9a-f]{{{_DIGITS}}}\.plan", plan.file)
        if named is None or path != self._json(plan.key):
            raise BadModel("describes another plan", where=str(path))
        return plan

    def _write(self, plan: Plan) -> None:
        """By the one process that changes what is there. Only this user may write to the file, whatever the umask."""
        path = self._json(plan.key)
        new = path.with_suffix(".new")
        with open(new, "wb", opener=_privately) as file:
            file.write((json.dumps(plan.values(), indent=1, sort_keys=True) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)

    def _remove_abandoned(self) -> None:
        for work in self.folder.glob(f"{_WORK}*"):
            with contextlib.suppress(OSError), open(work / _LOCK, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(work, ignore_errors=True)


def _hash(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
