"""Ends the records of runs whose process is gone.

SIGKILL, a power cut or the kernel's memory killer leave a run RUNNING for ever. So each run carries the
identity of its process, and whoever opens the same experiment on the same machine next mends what it finds.
"""

from __future__ import annotations

from mlflow import MlflowClient

from jointdec.tracking.identity import HOST, host, is_alive


def mend_stale_runs(client: MlflowClient, experiment_id: str) -> list[str]:
    """Mark runs of this experiment and machine whose process is gone KILLED and interrupted; their ids."""
    running = client.search_runs(
        [experiment_id], f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{host()}'", max_results=1000
    )
    mended = []
    for run in running:
        if is_alive(run.data.tags):
            continue
        if client.get_run(run.info.run_id).info.status != "RUNNING":
            continue  # it ended properly between the search and the look at its process
        client.set_tag(run.info.run_id, "jointdec.outcome", "interrupted")
        client.set_terminated(run.info.run_id, "KILLED")
        mended.append(run.info.run_id)
    return mended
