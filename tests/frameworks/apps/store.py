"""An app that caches 500 entries: store.py LIBRARY ACTION APP.

A name that the library refuses is stored percent-encoded, or where it is too long by its digest, as apps do.
"""

import hashlib
import os
import sys
import urllib.parse
import warnings

library, action, app = sys.argv[1:]
server = os.environ["SERVER"]


def django(backend):
    import django.conf

    # Django warns of names that memcached refuses, then raises.
    warnings.simplefilter("ignore")
    caches = {"default": {"BACKEND": f"django.core.cache.backends.memcached.{backend}", "LOCATION": server}}
    if app != "unset":
        caches["default"]["KEY_PREFIX"] = app
    django.conf.settings.configure(CACHES=caches)
    from django.core.cache import cache

    return (lambda name, value: cache.set(name, value) is None), cache.get, cache.clear


def pymemcache():
    from pymemcache.client.base import Client
    from pymemcache.serde import pickle_serde

    client = Client(server, key_prefix=f"{app}:".encode(), serde=pickle_serde, default_noreply=False)
    return client.set, client.get, client.flush_all


write, read, clear = {
    "django-pymemcache": lambda: django("PyMemcacheCache"),
    "django-pylibmc": lambda: django("PyLibMCCache"),
    "pymemcache": pymemcache,
}[library]()

with open(os.environ["NAMES"], encoding="utf-8") as file:
    entries = [line.rstrip("\n").split("\t", 1) for line in file]


def substitute(name):
    if len(name.encode()) > 200:
        return hashlib.sha256(name.encode()).hexdigest()
    return urllib.parse.quote(name, safe="")


def attempt(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        # Each library has its own way to refuse a name; a dead server is none of them.
        if isinstance(error, OSError):
            raise
        return None


if action == "fill":
    refused = []
    for kind, name in entries:
        value = f"{app} {name}"
        if not attempt(write, name, value):
            if not write(substitute(name), value):
                sys.exit(f"{name}: not stored")
            if kind not in refused:
                refused.append(kind)
    print(", ".join(refused) or "none")
elif action == "count":
    found = 0
    for _, name in entries:
        value = f"{app} {name}"
        found += attempt(read, name) == value or attempt(read, substitute(name)) == value
    print(found)
elif action == "clear":
    clear()
