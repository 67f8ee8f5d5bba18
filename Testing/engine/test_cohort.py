"""Cohorts: each case is computed once, whatever stops the batch, and none stops another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from JointRegSegLib.cohort import local, lock
from JointRegSegLib.cohort.cases import read_cases
from JointRegSegLib.cohort.local import Place, compute, places
from JointRegSegLib.cohort.run import Cohort, run_cohort
from JointRegSegLib.cohort.task import Outcome, State, Task
from JointRegSegLib.cohort.words import fit_to_publish
from JointRegSegLib.job import Atlas, Code, Device, JobError, Quality, Request, Result, Similarity
from JointRegSegLib.service import client
from JointRegSegLib.service.client import TorchDevice, TorchState
from Testing.engine.cohort_cases import a_cohort, attempts, table
from Testing.engine.cohort_worker import starts

ONE, TWO = [Place(1)], [Place(1)] * 2
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def quick_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Toy workers print nothing that one would have to wait for."""
    monkeypatch.setattr(client, "SETTLE_SECONDS", 0.3)


def _run(cohort: Cohort, where: Sequence[Place] = TWO) -> dict[str, State]:
    def computing(tasks: Sequence[tuple[Task, Request]]) -> Generator[str | Outcome, None, None]:
        return compute(tasks, where)

    return {record.id: record.state for record in run_cohort(cohort, computing, lambda line: None)}


def _leftovers(folder: Path) -> list[str]:
    return [path.name for path in (folder / "out" / "cases").iterdir() if path.name.startswith(".")]


def test_one_bad_case_stops_no_other(tmp_path: Path) -> None:
    cohort = a_cohort(tmp_path, {"a": {}, "b": {"fails": "image-empty"}, "c": None, "d": {}})
    states = _run(cohort)
    assert states == {"a": State.DONE, "b": State.FAILED, "c": State.FAILED, "d": State.DONE}
    rows = table(tmp_path)
    assert [row["state"] for row in rows.values()] == ["done", "failed", "failed", "done"]
    assert (rows["b"]["code"], rows["c"]["code"]) == ("image-empty", "file-missing")
    assert rows["b"]["message"] == "Something about the target is wrong. Mend it."
    assert rows["c"]["message"] == "The target of case c does not exist. Check its path."
    assert str(tmp_path) not in (tmp_path / "out" / "status.csv").read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "out" / "cases").iterdir()} == {"a", "d"}
    Result.open(tmp_path / "out" / "cases" / "a")


def test_a_second_call_computes_only_what_is_missing(tmp_path: Path) -> None:
    targets: dict[str, dict[str, Any] | None] = {"a": {}, "b": {"fails": "image-empty", "once": True}}
    assert _run(a_cohort(tmp_path, targets))["b"] is State.FAILED
    assert _run(a_cohort(tmp_path, {**targets, "new": {}})) == dict.fromkeys(("a", "b", "new"), State.DONE)
    assert [attempts(tmp_path, case) for case in ("a", "b", "new")] == [1, 2, 1]
    assert table(tmp_path)["b"]["attempts"] == "2"


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_a_killed_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    targets: dict[str, dict[str, Any] | None] = {"a": {}, "b": {"first": 60}, "c": {}}
    cohort = a_cohort(tmp_path, targets)
    script = (
        "import sys; from pathlib import Path; from Testing.engine import cohort_cases, test_cohort\n"
        f"test_cohort._run(cohort_cases.a_cohort(Path(sys.argv[1]), {targets!r}), test_cohort.ONE)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=REPOSITORY) as process:
        _until(lambda: attempts(tmp_path, "b") == 1)
        process.kill()
    assert table(tmp_path)["b"]["state"] == "running"
    (worker,) = (json.loads(mark.read_text())["pid"] for mark in starts(tmp_path / "scans" / "b"))
    assert _run(cohort, ONE) == dict.fromkeys("abc", State.DONE)
    assert [attempts(tmp_path, case) for case in "abc"] == [1, 2, 1]
    _until(lambda: not _alive(worker))
    assert _leftovers(tmp_path) == []


def test_an_interrupt_cancels_what_runs_and_keeps_what_is_done(tmp_path: Path) -> None:
    cohort = a_cohort(tmp_path, {"a": {}, "b": {"first": 60}, "c": {}})

    def interrupted(line: str) -> None:
        _until(lambda: attempts(tmp_path, "b") == 1)
        raise KeyboardInterrupt

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_cohort(cohort, lambda tasks: compute(tasks, ONE), interrupted)
    assert time.monotonic() - before < 15
    assert [row["state"] for row in table(tmp_path).values()] == ["done", "waiting", "waiting"]
    assert _leftovers(tmp_path) == []
    assert _run(cohort) == dict.fromkeys("abc", State.DONE)
    assert [attempts(tmp_path, case) for case in "abc"] == [1, 2, 1]


def test_places_compute_side_by_side_with_their_own_threads_and_gpu(tmp_path: Path) -> None:
    cohort = a_cohort(tmp_path, {"a": {"seconds": 1.5}, "b": {"seconds": 1.5}, "c": {}})
    where = [Place(3, environment={local.GPU: "4"}), Place(3, environment={local.GPU: "5"})]
    events: list[str | Outcome] = []

    def watched(tasks: Sequence[tuple[Task, Request]]) -> Generator[str | Outcome, None, None]:
        for event in compute(tasks, where):
            events.append(event)
            yield event

    run_cohort(cohort, watched, lambda line: None)
    assert events[:2] in (["a", "b"], ["b", "a"])
    assert [event.id for event in events if isinstance(event, Outcome)][2] == "c"
    marks = [json.loads(starts(tmp_path / "scans" / case)[0].read_text()) for case in "ab"]
    assert {(mark["threads"], mark["gpu"]) for mark in marks} == {(3, "4"), (3, "5")}


def test_a_worker_that_was_killed_gets_one_more_chance_alone(tmp_path: Path) -> None:
    cohort = a_cohort(tmp_path, {"a": {"fails": "killed", "once": True}, "b": {"fails": "killed"}, "c": {}})
    assert _run(cohort) == {"a": State.DONE, "b": State.FAILED, "c": State.DONE}
    assert [attempts(tmp_path, case) for case in "abc"] == [2, 2, 1]
    assert table(tmp_path)["b"]["code"] == "worker-died"
    log = (tmp_path / "out" / "logs" / "b.log").read_text(encoding="utf-8")
    assert "the end is near the target" in log
    assert str(tmp_path / "scans") not in log


def test_only_the_same_batch_goes_on(tmp_path: Path) -> None:
    cohort = a_cohort(tmp_path, {"a": {}, "b": {"fails": "image-empty"}})
    _run(cohort)
    other = Request(cohort.template.atlases, Path(), cohort.folder, quality=Quality.FAST)
    for changed, word in (
        (Cohort(**{**vars(cohort), "template": other}), "another value of quality"),
        (Cohort(**{**vars(cohort), "atlases": "other"}), "another value of atlases"),
        (Cohort(**{**vars(cohort), "cases": (_moved(cohort, 0), cohort.cases[1])}), "another row of a"),
    ):
        with pytest.raises(JobError, match=word) as caught:
            _run(changed)
        assert caught.value.code is Code.COHORT_INVALID
    machine = Request(cohort.template.atlases, Path(), cohort.folder, threads=2, memory_gb=3.0, device=Device.CPU)
    failed_moved = (cohort.cases[0], _moved(cohort, 1))
    assert _run(Cohort(**{**vars(cohort), "template": machine, "cases": failed_moved}))["a"] is State.DONE


def test_a_version_that_knows_more_settings_goes_on(tmp_path: Path) -> None:
    cohort = a_cohort(tmp_path, {"a": {}})
    _run(cohort)
    file = cohort.folder / "cohort.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    del told["settings"]["fusion"]
    file.write_text(json.dumps(told), encoding="utf-8")
    assert _run(cohort) == {"a": State.DONE}
    assert attempts(tmp_path, "a") == 1


def _moved(cohort: Cohort, index: int) -> Any:
    case = cohort.cases[index]
    return type(case)(case.id, case.target, case.options, (("target", "elsewhere"),))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    cohort = a_cohort(tmp_path, {"a": {}})
    cohort.folder.mkdir()
    (cohort.folder / "thesis.txt").touch()
    with pytest.raises(JobError) as caught:
        _run(cohort)
    assert caught.value.code is Code.OUTPUT_EXISTS
    assert [path.name for path in cohort.folder.iterdir()] == ["thesis.txt"]


def test_a_folder_belongs_to_one_batch_at_a_time(tmp_path: Path) -> None:
    with lock.locked(tmp_path):
        with pytest.raises(JobError, match="Another batch") as caught, lock.locked(tmp_path):
            pass
        assert caught.value.code is Code.COHORT_BUSY
        assert lock.FILE in caught.value.advice
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / lock.FILE).write_text(f"{socket.gethostname()} {gone.pid}\n", encoding="utf-8")
    with lock.locked(tmp_path):
        pass
    assert not (tmp_path / lock.FILE).exists()
    (tmp_path / lock.FILE).write_text(f"another-machine {os.getpid()}\n", encoding="utf-8")
    with pytest.raises(JobError, match="Another batch"), lock.locked(tmp_path):
        pass


def _csv(folder: Path, text: str) -> Path:
    (folder / "cohort.csv").write_text(text, encoding="utf-8")
    return folder / "cohort.csv"


def test_the_table_of_targets_is_read_with_its_options(tmp_path: Path) -> None:
    text = (
        "id, target,target_mask,quality,similarity,start,seed,age\n"
        "one,scans/a.nii,m.nii,fast,mind,s.tfm,7,61\ntwo,/abs/b.nii,,,,as-placed,,\n"
    )
    (one, two), unused = read_cases(_csv(tmp_path, text))
    assert one.target == tmp_path / "scans/a.nii"
    assert one.options == {
        "target_mask": tmp_path / "m.nii",
        "quality": Quality.FAST,
        "similarity": Similarity.MIND,
        "start": str(tmp_path / "s.tfm"),
        "seed": 7,
    }
    assert (two.target, two.options) == (Path("/abs/b.nii"), {"start": "as-placed"})
    assert unused == ["age"]
    assert (one.line, two.line) == (2, 3)


def test_empty_cells_beyond_the_first_line_say_nothing(tmp_path: Path) -> None:
    cases, _ = read_cases(_csv(tmp_path, "id,target\na,x,, \n\nb,y,\n"))
    assert [(case.id, case.line) for case in cases] == [("a", 2), ("b", 4)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id\na\n", "the column target is missing"),
        ("id,target\n", "it names no case"),
        ("id,target\na,\n", "line 2 names no target"),
        ("id,target\na,x\n../b,x\n", "line 3 has the id “../b”"),
        ("id,target\n.a,x\n", "line 2 has the id “.a”"),
        ("id,target\na,x\nA,y\n", "the id A occurs twice"),
        ("id,target,quality\na,x,best\n", "line 2 has the quality “best”"),
        ("id,target,seed\na,x,1.5\n", "line 2 has the seed “1.5”"),
        ("id,target,seed\na,x,-5\n", "line 2 has the seed “-5”"),
        ("id,target,seed\na,x,9223372036854775808\n", "line 2 has the seed “9223372036854775808”"),
        ("id,target\na,x\n\nb,y,fast\n", "line 4 has more cells"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(JobError) as caught:
        read_cases(_csv(tmp_path, text))
    assert caught.value.code is Code.COHORT_INVALID
    assert words in caught.value.message
    assert caught.value.advice


def _state(free: float | None, gpus: int = 0) -> TorchState:
    cards = tuple(TorchDevice("cuda", f"card {n}") for n in range(gpus))
    return TorchState("2.9", (TorchDevice("cpu", "CPU", free), *cards))


def test_a_machine_is_shared_out_fairly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(local.GPU, raising=False)
    assert places(None, Device.CPU, _state(100.0), cores=8) == [Place(2, 22.5)] * 4
    assert places(None, Device.AUTO, _state(13.0), cores=32) == [Place(16, 0.9 * 13 / 2)] * 2
    assert places(None, Device.AUTO, _state(2.0), cores=1) == [Place(1)]
    assert places(4, Device.AUTO, _state(None), cores=2) == [Place(1)] * 4
    assert places(3, Device.MPS, _state(8.0), cores=8) == [Place(8)]


def test_each_gpu_computes_one_case_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(local.GPU, raising=False)
    two = places(8, Device.AUTO, _state(100.0, gpus=2), cores=8)
    assert two == [Place(4, None, {local.GPU: "0"}), Place(4, None, {local.GPU: "1"})]
    assert len(places(1, Device.CUDA, _state(100.0, gpus=2), cores=8)) == 1
    assert places(None, Device.CPU, _state(100.0, gpus=2), cores=4)[0].environment == {}
    monkeypatch.setenv(local.GPU, "3,6")
    assert [place.environment[local.GPU] for place in places(None, Device.AUTO, _state(9.0, gpus=2))] == ["3", "6"]


def test_words_that_others_read_name_no_path(tmp_path: Path) -> None:
    request = Request((Atlas(tmp_path / "a.nii", tmp_path / "l.nii", name="one"),), tmp_path / "J. Doe.nii", tmp_path)
    words = (
        f"{tmp_path}/J. Doe.nii and {tmp_path}/a.nii, {tmp_path}/l.nii; also /home/doe/x.nii and C:\\doe\\x.nii. 3/4 mm"
    )
    assert fit_to_publish(words, request) == ("The target and atlas one, the labels of atlas one; also … and …. 3/4 mm")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("There is no {}/doe.nii. Check the path.", "The target does not exist. Check the path."),
        ("There is no {}/l.nii. Check the path.", "The labels of atlas one do not exist. Check the path."),
        ("There is no transform {}/s.tfm. Check the path.", "The start transform does not exist. Check the path."),
        ("{}/doe.nii is cut short.", "The target is cut short."),
        ("There is no {}/other.nii.", "There is no …."),
    ],
)
def test_a_name_for_a_path_leaves_a_sentence(tmp_path: Path, words: str, told: str) -> None:
    atlas = Atlas(tmp_path / "a.nii", tmp_path / "l.nii", name="one")
    request = Request((atlas,), tmp_path / "doe.nii", tmp_path / "out", start=str(tmp_path / "s.tfm"))
    assert fit_to_publish(words.format(tmp_path), request) == told


def test_a_failed_case_is_told_with_its_line(tmp_path: Path) -> None:
    cohort = a_cohort(tmp_path, {"a": {}, "b": None})
    told: list[str] = []
    run_cohort(cohort, lambda tasks: compute(tasks, ONE), told.append)
    assert told[0].startswith("[1/2] a: done after ")
    assert told[1].startswith("[2/2] b (line 3): failed after 0 s [file-missing] The target of case b does not exist.")


def _until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").exists() or " Z " not in Path(f"/proc/{pid}/stat").read_text()
