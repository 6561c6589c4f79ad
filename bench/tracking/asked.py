"""What a server is asked before the first cell, so that a no is heard before anything is trained."""

import uuid

from analysis.store.uris import mask
from bench.tracking.answers import RefusedError, translated
from bench.tracking.server import Server
from bench.tracking.study import tags


def check_writable(server: Server) -> None:
    """Returns where runs and claims can be recorded; nothing is left of the question.

    Raises:
        RefusedError: naming who may not record, and where.
    """
    key, value = next(iter(tags().items()))
    claim = f"asked-{uuid.uuid4().hex}"
    try:
        with translated():
            there = server.client.get_experiment(server.experiment_id).tags
            server.client.set_experiment_tag(server.experiment_id, key, there.get(key, value))
        server.create_claim(claim, {})
        server.delete_claim(claim)
    except RefusedError as error:
        where = mask(f"experiment {server.experiment} of {server.uri} cannot be recorded in")
        raise RefusedError(f"{where}: {error}. Another can be given as tracking.experiment=NAME") from None
