"""What a server is asked before the first cell, so that a no is heard before anything is trained."""

import uuid

from analysis.store.uris import mask
from bench.tracking.answers import RefusedError, translated
from bench.tracking.server import CLAIM_NOTE, Server
from bench.tracking.study import tags


def check_writable(server: Server) -> None:
    """Returns where runs and claims can be recorded; nothing is left of the question.

    Raises:
        RefusedError: naming who may not record, and where.
    """
    key, value = next(iter(tags().items()))
    name = f"asked-{uuid.uuid4().hex}"  # no cell's: whoever reads the claims meanwhile does not find it
    try:
        with translated():
            there = server.client.get_experiment(server.experiment_id).tags
            server.client.set_experiment_tag(server.experiment_id, key, there.get(key, value))
            server.client.create_registered_model(name, description=CLAIM_NOTE)
            server.client.delete_registered_model(name)
    except RefusedError as error:
        where = mask(f"experiment {server.experiment} of {server.uri} cannot be recorded in")
        raise RefusedError(f"{where}: {error}. Another can be given as tracking.experiment=NAME") from None
