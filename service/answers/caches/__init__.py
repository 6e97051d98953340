"""Caches behind one protocol. A new one is a file here and a line in `CACHES`.

The contract tests run over `CACHES`; `service/app.py` makes the caches that serve.

Public: `CACHES`, `Cache`, `LocalCache`, `RedisCache`.
"""

from hashrec.service.answers.caches.cache import Cache
from hashrec.service.answers.caches.local import LocalCache
from hashrec.service.answers.caches.redis import RedisCache
from hashrec.service.errors import CacheUnavailableError

CACHES: dict[str, type[Cache]] = {
    "local": LocalCache,
    "redis": RedisCache,
}

__all__ = ["CACHES", "Cache", "CacheUnavailableError", "LocalCache", "RedisCache"]
