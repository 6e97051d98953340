"""Fuzz: requests generated from the OpenAPI document, valid and not, against a real server.

    python -m benchmarks.fuzz_api [--cases 10000] [--seed 0] [--json FILE]

Every operation gets its share of the cases, each over HTTP with an administrator's key. A case
fails if its reply has a 5xx status, or a status, content type or body that the document does not
describe. The first failure of an operation is made small and printed with a command that repeats
it; then the exit status is 1. The model is random: 60 users, 40 items, 32 bits.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from requests import RequestException
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.http import serve
from hashrec.index.arrays.ids import IdMap
from hashrec.index.artifacts.store import Store
from hashrec.service.access.keys import new_key
from tests.index.small_models import model_of, write

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ROUND = 200  # cases an operation between looks at how many there were


def fuzz_operation(
    operation: Any,
    base_url: str,
    n_cases: int,
    *,
    random_seed: int = 0,
    session: requests.Session | None = None,
) -> Counter[int]:
    """Send up to a number of cases of one operation, and count the statuses of the replies.

    Fewer are sent where there are no more: a route without parameters has one.

    Raises:
        FailureGroup: a reply is not as documented; the case is made small.
    """
    statuses: Counter[int] = Counter()

    @seed(random_seed)
    @hypothesis_settings(
        max_examples=n_cases,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def conforms(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        reply = case.call(base_url=base_url, session=session, timeout=60)
        statuses[reply.status_code] += 1
        case.validate_response(reply, checks=CHECKS)

    conforms()
    return statuses


def operations(document: dict[str, Any]) -> dict[str, Any]:
    """Return every operation of a document by its route, `GET /popular` for example."""
    schema = schemathesis.openapi.from_dict(document)
    return {
        f"{method.upper()} {path}": schema[path][method.upper()]
        for path, methods in document["paths"].items()
        for method in methods
    }


def fuzz(
    found: dict[str, Any], n_cases: int, send: Callable[[Any, int, int], Counter[int]]
) -> tuple[dict[str, Counter[int]], list[str]]:
    """Send a number of cases in rounds, and give what operations lack to the others.

    Returns:
        The statuses by route, and what went wrong.
    """
    counted: dict[str, Counter[int]] = {route: Counter() for route in found}
    open_routes, failures, number = set(found), list[str](), 0
    while open_routes and (left := n_cases - total(counted.values())) > 0:
        number += 1
        share = max(1, min(ROUND, -(-left // len(open_routes))))
        for route in sorted(open_routes):
            try:
                statuses = send(found[route], share, number)
            except (FailureGroup, RequestException) as error:
                failures.append(f"{route}\n{error}")
                open_routes.discard(route)
                continue
            counted[route].update(statuses)
            if statuses.total() < share // 2:  # it has no more
                open_routes.discard(route)
    return counted, failures


def total(counted: Iterable[Counter[int]]) -> int:
    """Return the number of replies."""
    return sum(statuses.total() for statuses in counted)


def publish(store: Path, random_seed: int) -> None:
    """Publish a random model, with ids as short as those that generators like: 0, 1, 2, ..."""
    model = replace(
        model_of(60, 40, 32, seed=random_seed),
        users=IdMap.build(map(str, range(60))),
        items=IdMap.build(map(str, range(40))),
    )
    write(store.parent / "artifact", model)
    Store(store).publish(store.parent / "artifact")


def resident_megabytes(pid: int) -> float:
    """Return the memory that a process has in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    key, entry = new_key("fuzz", "admin")
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        publish(store, options.seed)
        server, port = serve(store, HASHREC_KEYS__ENTRIES=entry.entry(), HASHREC_KEEP_ALIVE_S="600")
        try:
            base_url = f"http://127.0.0.1:{port}"
            with requests.Session() as session:
                session.headers["X-API-Key"] = key
                document = session.get(f"{base_url}/openapi.json", timeout=60).json()
                memory = resident_megabytes(server.pid)
                started = time.perf_counter()
                counted, failures = fuzz(
                    operations(document),
                    options.cases,
                    lambda operation, n_cases, number: fuzz_operation(
                        operation,
                        base_url,
                        n_cases,
                        random_seed=options.seed * 1000 + number,
                        session=session,
                    ),
                )
                seconds = time.perf_counter() - started
                grown = resident_megabytes(server.pid) - memory
        finally:
            server.terminate()
            server.wait()
    for route, statuses in counted.items():
        seen = " ".join(f"{status}:{n}" for status, n in sorted(statuses.items()))
        print(f"{route:36} {statuses.total():6}  {seen}")
    n_cases = total(counted.values())
    print(f"{n_cases} cases in {seconds:.0f} s, {grown:+.0f} MB in the server, ", end="")
    print(f"{len(failures)} operations fail" if failures else "no failure")
    for failure in failures:
        print(f"\n{failure}", file=sys.stderr)
    if options.json is not None:
        result = {
            "cases": n_cases,
            "seconds": seconds,
            "grown_megabytes": grown,
            "statuses": counted,
            "failures": failures,
        }
        options.json.write_text(json.dumps(result, indent=2))
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
