"""What `bench` records with a run beside its predictions, made up: a data card, activation maps."""

import json

FINGERPRINT = "0123456789"  # of FakeStore's runs
NAME = "data_card.json"
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"


def split(images, **changes):
    labels = {"edema": {"positive": 2, "negative": 3, "uncertain": 1, "blank": images - 6}}
    about = {"images": images, "studies": images - 1, "patients": images - 2, "views": {"frontal": images}}
    about |= {"ap_pa": {"AP": 4, "not given": images - 4}, "sex": {"Female": images}, "labels": labels}
    return about | {"age": {"known": 5, "mean": 61.25, "sd": 3.5, "low": 18.0, "high": 90.0}} | changes


def card(**changes):
    unknown = {"known": 0, "mean": None, "sd": None, "low": None, "high": None}
    return {
        "name": "CheXpert",
        "generated": False,
        "fingerprint": FINGERPRINT,
        "tasks": ["edema"],
        "uncertain": {"edema": "u-ones", "fracture": "u-ignore", "pneumonia": "u-ignore"},
        "divided": "a hash of the patient",
        "splits": {"train": split(12345), "test": split(8, views={"frontal": 5, "lateral": 3}, age=unknown)},
        "filters": [{"filter": "data.sex=Female", "split": "train", "reason": "Male", "images": 1500, "patients": 7}],
    } | changes


def leave_card(store, run_id, made):
    store.leave(run_id, NAME, json.dumps(made).encode())


def network(run_id="0" * 32, truncate=0, **changes):
    about = {"run_id": run_id, "network": "ResNet-18", "pretrained": False, "truncate": truncate, "seed": 3}
    return about | {"height": 2, "width": 4} | changes


def record(store, run_id, name, *networks, image=b"", studies=("a", "b")):
    about = {"task": name.partition("-vs-")[0], "studies": list(studies), "runs": list(networks) or [network(run_id)]}
    store.leave(run_id, f"cams/{name}.png", PNG + image)
    store.leave(run_id, f"cams/{name}.json", json.dumps(about).encode())


def mistake(number=0, **changes):
    about = {"task": "pleural_effusion", "kind": "false positive", "path": f"p{number}/s1/view1.jpg", "label": 0}
    about |= {"patient": f"p{number}", "study": f"p{number}/s1", "view": "frontal", "score": 0.987654, "images": 2}
    return about | {"picture": f"errors/{number:03d}.jpg"} | changes


def leave_mistakes(store, run_id, *mistakes, image=JPEG, level="study"):
    """A run's list of errors, with a picture for each."""
    for item in mistakes:
        store.leave(run_id, item["picture"], image)
    about = {"level": level, "views": "max", "kept": 3, "errors": list(mistakes)}
    store.leave(run_id, "errors/test.json", json.dumps(about).encode())
