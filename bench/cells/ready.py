"""What is left of a data set once its images are decoded, checked for all that a cell will do with it."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from analysis.errors import AnalysisError
from analysis.views import aggregate_views
from bench.cells.scores import prediction_frame
from bench.data.cache import Cache
from bench.data.images import drop_bad, open_caches
from bench.data.selection import Dropped, counted
from bench.data.sets import OWN, DataSet, Split, class_problems
from bench.data.tasks import choose
from bench.data.twins import Twins, find_twins
from bench.errors import DataError
from bench.schema import Config

logger = logging.getLogger(__name__)

UNUSABLE = "data.on_bad_image=skip"
"""What decided over images that could not be used, in the card's list of what was left out."""


def ready(
    data: DataSet, config: Config, *, announce: Callable[[str], None] = logger.info
) -> tuple[DataSet, dict[str, Cache]]:
    """(the set without the images that cannot be used, the decoded images of each split by its name).

    Args:
        data: what `open_dataset` gave.

    Raises:
        DataError: images cannot be used and may not be left out, or what is left cannot be trained on, validated or
            scored.
        StorageError: the decoded images cannot be written.
    """
    splits = {"train": data.train} | data.evaluated
    caches = open_caches(splits, config.data, shorter_side=config.protocol.image.resize, announce=announce)
    dropped = [one for name, split in splits.items() for one in _left_out(split, caches[name], name)]
    left = {name: drop_bad(split, caches[name]) for name, split in splits.items()}
    empty = [name for name, split in left.items() if split.frame.empty]
    if empty:
        raise DataError("\n".join(_nothing_left(name, len(splits[name].frame), dropped) for name in empty))
    twins = find_twins({name: left[name].frame for name in OWN}, caches)
    found = data.without(left, dropped, twins)
    problems = [*_problems(found, config), *_twin_problems(twins, config.data.name, announce)]
    if problems:
        raise DataError("\n".join(problems))
    return found, caches


def unusable(data: DataSet) -> int:
    """How many images were left out because they cannot be used."""
    return sum(one.images for one in data.dropped if one.filter == UNUSABLE)


def _left_out(split: Split, cache: Cache, name: str) -> Iterator[Dropped]:
    """What could not be used, by the first words of the reason."""
    reasons = {item.path: re.split(r"[:,(]", item.reason)[0].strip() for item in cache.bad}
    left, why = split.frame, split.frame["path"].map(lambda path: reasons.get(path, ""))
    for reason in sorted(set(why) - {""}):
        kept = left[why.loc[left.index] != reason]
        yield counted(left, kept, UNUSABLE, reason, name)
        left = kept


def _nothing_left(name: str, images: int, dropped: Sequence[Dropped]) -> str:
    reasons = ", ".join(f"{one.images} {one.reason}" for one in dropped if one.split == name)
    return (
        f"no image of the {name} split can be used ({images}: {reasons}): bring its images below data.root, or choose "
        "another split; python -m bench.prepare lists them all"
    )


def _problems(data: DataSet, config: Config) -> Iterator[str]:
    """What would end a training, or its evaluation at the end of it, a sentence each."""
    evaluation, batch_size = config.evaluation, config.protocol.batch_size
    yield from class_problems(data, choose("evaluation.tasks", evaluation.tasks, data.tasks))
    images = len(data.train.frame)
    if images < batch_size:
        yield f"protocol.batch_size={batch_size} is larger than the training split of {images} images"
    for name, split in data.evaluated.items():
        try:
            frame = prediction_frame(split, data.tasks, np.zeros(split.labels.shape))
            aggregate_views(frame, level=evaluation.level, how=evaluation.views)
        except AnalysisError as error:
            yield f"the {name} split: {error}; mend the labels, or give evaluation.level=image"


def _twin_problems(twins: Sequence[Twins], name: str, announce: Callable[[str], None]) -> Iterator[str]:
    """Refuses an own table with the same image in two splits; of a release, whose split is what it is, it is said."""
    for one in twins:
        said = f"{one.images} image(s) of {one.other} are, pixel by pixel, images of other patients in {one.split}"
        if name == "csv":
            yield f"{said}: {one.example}; leave one of them out, or give both the same patient"
        else:
            announce(f"{said}, as released: {one.example}")
