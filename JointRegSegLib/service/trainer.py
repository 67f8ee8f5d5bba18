"""The process that trains: `python -m JointRegSegLib.service.trainer --request FILE --cancel FILE`.

Events go to the standard output as the worker's do. When the cancel file appears, training ends after its present step
with a checkpoint and a model; when the client is gone, with the checkpoint that there is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..job import Event, Kind
from .torch_state import load_torch
from .training_client import TrainingRequest
from .worker import Channel, Stop, serve


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the request says and tell about it; returns the exit status, 0 or the `JobError`'s."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description="Train as one request says.")
    parser.add_argument("--request", type=Path, required=True, help="request as a JSON file")
    parser.add_argument("--cancel", type=Path, required=True, help="training ends when this file appears")
    arguments = parser.parse_args(argv)
    channel = Channel()
    stop = Stop(arguments.cancel, arguments.request.absolute().parent)

    def work() -> Event:
        request = TrainingRequest.from_json(arguments.request.read_text(encoding="utf-8"))
        stop.watch_client(request.output)
        return _train(request, channel, stop)

    return serve(channel, stop, "training started", work)


def _train(request: TrainingRequest, channel: Channel, stop: Stop) -> Event:
    load_torch()
    from ..study.train import Training, train

    asked = Training(**vars(request))
    trained = train(asked, channel.send, stop.asked)
    found = {
        "model": str(trained.model),
        "finished": trained.outcome.finished,
        "steps": trained.outcome.steps,
        "minutes": trained.outcome.seconds / 60.0,
        "scores": trained.scores,
    }
    return Event(Kind.RESULT, fraction=1.0, data=found)


if __name__ == "__main__":
    sys.exit(main())
