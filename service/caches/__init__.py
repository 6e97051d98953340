"""Caches behind one protocol. A new one is a file here and a line in `CACHES`.

The contract tests run over `CACHES`; `service/app.py` makes the caches that serve.
"""

from service.caches.cache import Cache, CacheUnavailableError
from service.caches.local import LocalCache
from service.caches.redis import RedisCache

CACHES: dict[str, type[Cache]] = {
    "local": LocalCache,
    "redis": RedisCache,
}

__all__ = ["CACHES", "Cache", "CacheUnavailableError", "LocalCache", "RedisCache"]
