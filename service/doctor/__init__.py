"""Doctor: checks of a deployment; each finding states a fact and how to fix it.

A check is a function from a deployment to findings, in a module `*_check`; a new one is a module
and a line in `CHECKS`. `report` prints the findings and the settings in force.

Public: `examine`, `CHECKS`, `finding.Deployment`, `finding.Finding`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hashrec.service.doctor.finding import Deployment, Finding
from hashrec.service.doctor.journal_check import check_journal
from hashrec.service.doctor.keys_check import check_keys
from hashrec.service.doctor.machine_check import check_libraries, check_memory, check_processes
from hashrec.service.doctor.network_check import check_service
from hashrec.service.doctor.redis_check import check_redis
from hashrec.service.doctor.store_check import check_store
from hashrec.service.doctor.tracing_check import check_tracing

Check = Callable[[Deployment], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "libraries": check_libraries,
    "store": check_store,
    "memory": check_memory,
    "processors": check_processes,
    "journal": check_journal,
    "redis": check_redis,
    "keys": check_keys,
    "tracing": check_tracing,
    "service": check_service,
}


def examine(deployment: Deployment) -> Iterator[Finding]:
    """Run every check and yield its findings."""
    for check in CHECKS.values():
        yield from check(deployment)
