"""`jointregseg models list|check|import|remove`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..job.errors import EXIT_OK
from ..library.models import check_model, find_model, import_model, installed_models, remove_model
from ..training.card import Card
from .common import print_table


def add(command: argparse.ArgumentParser) -> None:
    """The arguments."""
    actions = command.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("list", help="show the installed models")
    show.set_defaults(command=list_models)
    look = actions.add_parser("check", help="look whether a model's weights are what they were")
    look.set_defaults(command=check)
    look.add_argument("model", type=Path, metavar="NAME_OR_FILE")
    take = actions.add_parser("import", help="install a model package")
    take.set_defaults(command=install)
    take.add_argument("model", type=Path, metavar="M.safetensors")
    take.add_argument("--name", default="", metavar="NAME", help="what to call it; default: as its file is called")
    drop = actions.add_parser("remove", help="delete an installed model")
    drop.set_defaults(command=remove)
    drop.add_argument("model", metavar="NAME")


def list_models(arguments: argparse.Namespace) -> int:
    """Print the installed models."""
    models = installed_models()
    if not models:
        print("No model is installed.")
        return EXIT_OK
    head = ("name", "method", "structures", "trained on", "spacing mm", "validation Dice", "licence")
    print_table([head, *((m.name, *_facts(m.card)) for m in models if m.card is not None)])
    for model in models:
        for sentence in (model.problem,) if model.card is None else model.card.notes:
            print(f"{model.name}: {sentence}")
    return EXIT_OK


def check(arguments: argparse.Namespace) -> int:
    """Say that a model is whole; an error where it is not."""
    path = find_model(arguments.model)
    card = check_model(path)
    by = f", trained by JointRegSeg {card.software}" if card.software else ""
    print(f"{arguments.model} is whole: {card.method}, {len(card.structures)} structures{by}.")
    for sentence in card.notes:
        print(sentence)
    return EXIT_OK


def install(arguments: argparse.Namespace) -> int:
    """Copy a package to the installed models."""
    print(f"model: {import_model(arguments.model, arguments.name).name}")
    return EXIT_OK


def remove(arguments: argparse.Namespace) -> int:
    """Delete an installed model."""
    remove_model(arguments.model)
    return EXIT_OK


def _facts(card: Card) -> tuple[str, str, str, str, str, str]:
    labelled, subjects = (card.training.get(key, 0) for key in ("labelled", "subjects"))
    return (
        card.method,
        str(len(card.structures)),
        f"{subjects:.0f} scans, {labelled:.0f} labelled",
        " x ".join(f"{s:.3g}" for s in card.spacing),
        ", ".join(f"{name} {score:.3f}" for name, score in card.scores.items()),
        (card.licence.strip().splitlines() or [""])[0],
    )
